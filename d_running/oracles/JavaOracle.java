import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.lang.reflect.Array;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.Arrays;

/**
 * Calls static methods by reflection on inputs from a file and writes what they return to standard output; `java_oracle.py` is the other end.
 *
 * Every method is called through twice, each time in a fresh class loader, so that one whose results change is found out. A method that
 * does not end in time ends this process, after a record that says so; one that ends the process itself leaves no record.
 *
 * usage: java JavaOracle JOBS FIRST CPU_SECONDS WALL_SECONDS
 */
public final class JavaOracle {
    private static final int STACK_BYTES = 64 << 20;
    private static final int RESULT_BYTES = 1 << 20;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    public static void main(String[] args) throws Exception {
        DataOutputStream records = new DataOutputStream(new FileOutputStream(FileDescriptor.out));
        PrintStream nothing = new PrintStream(OutputStream.nullOutputStream());
        endWith(System.in);
        System.setIn(InputStream.nullInputStream());
        System.setOut(nothing);
        System.setErr(nothing);
        records.writeByte('J');
        long cpuLimit = Long.parseLong(args[2]) * 1_000_000_000L, wallLimit = Long.parseLong(args[3]) * 1_000_000_000L;
        try (DataInputStream jobs = new DataInputStream(new ByteArrayInputStream(Files.readAllBytes(Paths.get(args[0]))))) {
            int count = jobs.readInt();
            for (int index = 0; index < count; ++index) {
                String className = jobs.readUTF(), methodName = jobs.readUTF();
                byte[][] calls = new byte[jobs.readInt()][];
                for (int call = 0; call < calls.length; ++call) {
                    calls[call] = jobs.readNBytes(jobs.readInt());
                }
                if (index < Integer.parseInt(args[1])) {
                    continue;
                }
                ThreadGroup group = new ThreadGroup("calls");
                Pass first = new Pass(group, className, methodName, calls), second = new Pass(group, className, methodName, calls);
                boolean ended = run(first, cpuLimit, wallLimit) && run(second, cpuLimit, wallLimit);
                write(records, index, ended, first, second);
                if (!ended || group.activeCount() > 0) { // the next method begins in a process without its threads
                    Runtime.getRuntime().halt(0);
                }
            }
        }
        Runtime.getRuntime().halt(0);
    }

    /** Ends this process when {@code parent}, which the process around it holds open, ends: however that one died. */
    private static void endWith(InputStream parent) {
        Thread watch = new Thread(() -> {
            try {
                parent.read();
            } catch (IOException error) {
                // it has ended
            }
            Runtime.getRuntime().halt(0);
        });
        watch.setDaemon(true);
        watch.start();
    }

    private static boolean run(Pass pass, long cpuLimit, long wallLimit) throws InterruptedException {
        long start = System.nanoTime();
        pass.start();
        pass.join(20);
        while (pass.isAlive()) {
            if (THREADS.getThreadCpuTime(pass.getId()) > cpuLimit || System.nanoTime() - start > wallLimit) {
                return false;
            }
            pass.join(20);
        }
        return true;
    }

    /**
     * One record: the method's index, its length, then either 'P' and a problem or for each call 'V', a value and an array of the arguments
     * after it (null for what is no array itself), or 'E' and why there is no value.
     */
    private static void write(DataOutputStream records, int index, boolean ended, Pass first, Pass second) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        if (!ended) {
            Pass late = first.isAlive() ? first : second;
            out.writeByte('T');
            out.writeInt(late.call);
        } else if (first.problem != null) {
            out.writeByte('P');
            out.write(value(first.problem));
        } else {
            out.writeByte('R');
            out.writeInt(first.answers.length);
            for (int call = 0; call < first.answers.length; ++call) {
                boolean same = Arrays.equals(first.answers[call], second.answers[call]);
                out.write(same ? first.answers[call] : failure("gives another result when it is called again"));
            }
        }
        ByteArrayOutputStream record = new ByteArrayOutputStream();
        DataOutputStream framed = new DataOutputStream(record);
        framed.writeInt(index);
        framed.writeInt(bytes.size());
        bytes.writeTo(framed);
        records.write(record.toByteArray());
        records.flush();
    }

    /** All calls of one method, one after the other, in a class loader of their own. */
    private static final class Pass extends Thread {
        private final String className, methodName;
        private final byte[][] calls;
        final byte[][] answers;
        volatile int call;
        String problem;

        Pass(ThreadGroup group, String className, String methodName, byte[][] calls) {
            super(group, null, "calls", STACK_BYTES);
            setDaemon(true);
            this.className = className;
            this.methodName = methodName;
            this.calls = calls;
            answers = new byte[calls.length][];
        }

        @Override
        public void run() {
            try {
                URL[] here = {Paths.get("").toAbsolutePath().toUri().toURL()};
                Class<?> owner = new URLClassLoader(here, ClassLoader.getPlatformClassLoader()).loadClass(className);
                Method[] named =
                    Arrays.stream(owner.getDeclaredMethods()).filter(m -> m.getName().equals(methodName)).toArray(Method[]::new);
                if (named.length != 1) {
                    problem = "its class has " + named.length + " methods named " + methodName;
                    return;
                }
                named[0].setAccessible(true);
                for (call = 0; call < calls.length; ++call) {
                    answers[call] = answer(named[0], calls[call]);
                }
            } catch (Throwable error) {
                problem = "it cannot be called: " + error;
            }
        }

        private static byte[] answer(Method method, byte[] call) {
            try {
                DataInputStream in = new DataInputStream(new ByteArrayInputStream(call));
                Class<?>[] types = method.getParameterTypes();
                Object[] arguments = new Object[types.length];
                for (int k = 0; k < types.length; ++k) {
                    arguments[k] = read(in, types[k]);
                }
                byte[] result = value(method.invoke(null, arguments));
                byte[] after = value(Arrays.stream(arguments).map(one -> one.getClass().isArray() ? one : null).toArray());
                if (result.length > RESULT_BYTES || after.length > RESULT_BYTES) {
                    return failure("returns more than 1 MiB");
                }
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                bytes.write('V');
                bytes.write(result);
                bytes.write(after);
                return bytes.toByteArray();
            } catch (InvocationTargetException error) {
                return failure("throws " + error.getCause().getClass().getName());
            } catch (Throwable error) {
                return failure("throws " + error.getClass().getName());
            }
        }
    }

    private static byte[] failure(String why) {
        byte[] text = value(why);
        byte[] tagged = new byte[text.length + 1];
        tagged[0] = 'E';
        System.arraycopy(text, 0, tagged, 1, text.length);
        return tagged;
    }

    /** The next value of {@code in}, as an object of the type {@code target}. */
    private static Object read(DataInputStream in, Class<?> target) throws IOException {
        switch (in.readByte()) {
            case 'b':
                return in.readBoolean();
            case 'i':
                long integer = in.readLong();
                if (target == byte.class || target == Byte.class) {
                    return (byte) integer;
                }
                if (target == short.class || target == Short.class) {
                    return (short) integer;
                }
                if (target == int.class || target == Integer.class) {
                    return (int) integer;
                }
                return integer;
            case 'r':
                double real = in.readDouble();
                if (target == float.class || target == Float.class) {
                    return (float) real;
                }
                return real;
            case 's':
                String text = new String(in.readNBytes(in.readInt()), "UTF-16BE");
                if (target == char.class || target == Character.class) {
                    return text.charAt(0);
                }
                return text;
            case 'a':
                int length = in.readInt();
                Object array = Array.newInstance(target.getComponentType(), length);
                for (int k = 0; k < length; ++k) {
                    Array.set(array, k, read(in, target.getComponentType()));
                }
                return array;
            default:
                throw new IOException("a value of no known kind");
        }
    }

    private static byte[] value(Object object) {
        try {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            write(new DataOutputStream(bytes), object);
            return bytes.toByteArray();
        } catch (IOException error) { // memory does not fail
            throw new IllegalStateException(error);
        }
    }

    /** A value with the tag of its kind: every integer as a long, every real as a double, text as UTF-16. */
    private static void write(DataOutputStream out, Object object) throws IOException {
        if (object == null) {
            out.writeByte('n');
        } else if (object instanceof Boolean) {
            out.writeByte('b');
            out.writeBoolean((Boolean) object);
        } else if (object instanceof Float || object instanceof Double) {
            out.writeByte('r');
            out.writeDouble(((Number) object).doubleValue());
        } else if (object instanceof Number) {
            out.writeByte('i');
            out.writeLong(((Number) object).longValue());
        } else if (object instanceof Character || object instanceof String) {
            String text = object.toString();
            out.writeByte('s');
            out.writeInt(2 * text.length());
            out.writeChars(text);
        } else if (object.getClass().isArray()) {
            out.writeByte('a');
            out.writeInt(Array.getLength(object));
            for (int k = 0; k < Array.getLength(object); ++k) {
                write(out, Array.get(object, k));
            }
        } else {
            throw new IllegalArgumentException("a " + object.getClass().getName());
        }
    }
}
