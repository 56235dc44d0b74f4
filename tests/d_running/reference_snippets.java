// integer arithmetic
String solution() {
    int big = Integer.MAX_VALUE;
    big++;
    long l = Integer.MAX_VALUE * 2;
    long m = Integer.MAX_VALUE * 2L;
    int q = -7 / 2, r = -7 % 2;
    short s = (short) 70000;
    byte b = (byte) 200;
    b += 100;
    return big + " " + l + " " + m + " " + q + " " + r + " " + s + " " + b;
}

// shifts
String solution() {
    int n = 33, m = -1;
    long w = 1L << 35;
    int x = 5;
    x <<= 34;
    x >>>= 1;
    return (1 << n) + " " + (m >>> 28) + " " + (m >> n) + " " + (w >>> 3) + " " + x + " " + (-1L >>> 60) + " " + (1 << 'a') + " " + ~x;
}

// literals
String solution() {
    int octal = 017, hex = 0xFFFFFFFF, bits = 0b101, min = -2147483648;
    long wide = 0xFFFFFFFFFFFFFFFFL, one = 1l, grouped = 1_000_000;
    double d = 5d, e = 1., f = .5, g = 1e3;
    float h = 2f;
    return octal + " " + hex + " " + bits + " " + min + " " + wide + " " + one + " " + grouped + " " + (d + e + f + g + h);
}

// casts of real numbers
String solution() {
    double[] values = {0.0 / 0.0, 1e30, -1e30, 2.9, -2.9, 1.0 / 0};
    String s = "";
    for (double v : values) s += (int) v + "," + (long) v + "," + (char) 65 + "," + (short) v + ";";
    return s;
}

// compound assignment
String solution() {
    int n = 7;
    n *= 1.5;
    n -= 0.5;
    int k = 3;
    k /= 0.4f;
    int[] a = {1, 2, 3};
    a[1] *= 2.6;
    a[2] += 3000000000L;
    char c = 'a';
    c += 2;
    c++;
    n += 'a';
    long big = 5;
    big += 1e30;
    return n + " " + k + " " + a[1] + " " + a[2] + " " + c + " " + big;
}

// characters
String solution() {
    String s = "xyz";
    String t = "";
    for (int i = 0; i < s.length(); i++) t += (char) (s.charAt(i) + 3);
    int code = 'a' + 1;
    char c = (char) code;
    char d = 'a' + 1;
    char big = (char) 65601;
    return t + (int) s.charAt(0) + c + d + (char) ('b' - 32) + code + (int) big + (char) (s.charAt(0) - 'x' + 'A') + ('a' + 'b');
}

// characters beyond 127
String solution() {
    char[] cs = "abc".toCharArray();
    for (int i = 0; i < cs.length; i++) cs[i] = (char) (cs[i] + 200);
    int sum = 0;
    for (char c : cs) sum += c;
    char w = (char) (cs[0] + 1000);
    w += 60000;
    String t = "a" + (char) (233 + sum - sum);
    t += cs[1];
    return sum + " " + (int) w + " " + t + new String(cs) + String.valueOf(cs[2]);
}

// new arrays
String solution() {
    int[] a = new int[3], b[] = new int[2][3];
    int c[] = {3, 1, 2}, n = c.length;
    double d[] = new double[2];
    double[][] e = new double[2][2];
    char[] f = new char[2];
    boolean[][] g = new boolean[2][2];
    String[][] h = {{"x"}, {"y", "z"}};
    double[][][] x3 = new double[2][2][2];
    d[0] += 1.5;
    e[1][1] += 2;
    x3[1][1][1] += 0.25;
    f[0] += 'a';
    d = new double[4];
    d[3]++;
    int[][] ragged = new int[2][];
    ragged[1] = new int[]{4, 5};
    long[] ls = {1, 2};
    return a[0] + b[1][2] + n + " " + d[3] + e[1][1] + f[0] + (int) f[1] + g[1][0] + h[1][1] + ragged[1][1] + x3[1][1][1] + ls[1] + b.length + b[0].length;
}

// array methods
String solution() {
    int[] a = {5, 3, 9, 1}, b = a.clone(), c = Arrays.copyOf(a, 6), d = Arrays.copyOfRange(a, 1, 3);
    Arrays.sort(a);
    Arrays.sort(b, 1, 3);
    int[] e = new int[4];
    Arrays.fill(e, 7);
    Arrays.fill(e, 1, 3, 2);
    int[][] dp = new int[2][2];
    for (int[] row : dp) Arrays.fill(row, -1);
    System.arraycopy(a, 0, e, 1, 2);
    char[] cs = "hello".toCharArray();
    Arrays.sort(cs);
    String[] ws = {"pear", "fig", "apple"};
    Arrays.sort(ws);
    return Arrays.toString(a) + Arrays.toString(b) + Arrays.toString(c) + Arrays.toString(d) + Arrays.toString(e) + dp[1][1] + new String(cs)
        + String.valueOf(cs) + Arrays.toString(ws) + Arrays.equals(a, b) + Arrays.stream(a).sum() + Arrays.stream(a).max().getAsInt() + Arrays.stream(b).min().getAsInt();
}

// sorting with comparators
String solution() {
    Integer[] a = {3, 1, 2};
    Arrays.sort(a, Collections.reverseOrder());
    String[] words = {"bbb", "a", "cc", "d"};
    Arrays.sort(words, (x, y) -> x.length() - y.length());
    int[][] pairs = {{2, 1}, {1, 5}, {2, 0}};
    Arrays.sort(pairs, (p, q) -> p[0] - q[0]);
    Integer[] b = {4, 6, 5};
    Arrays.sort(b, new Comparator<Integer>() {
        public int compare(Integer x, Integer y) {
            if (x > y) return -1;
            return x < y ? 1 : 0;
        }
    });
    return a[0] + "" + a[2] + words[0] + words[1] + words[3] + pairs[1][1] + pairs[2][1] + b[0] + b[2];
}

// empty arrays
boolean solution() {
    int[] a = new int[0];
    int count = 0;
    for (int i = 0; i < a.length - 1; i++) count++;
    for (int i = a.length - 1; i >= 0; i--) count++;
    return count == 0 && a.length - 1 < 0 && a.length > -1;
}

// Math
String solution() {
    int n = 17;
    long l = 40;
    return (int) Math.sqrt(n) + " " + Math.pow(2, n) + " " + Math.max(n, l) + " " + Math.abs(-n) + " " + Math.floor(n / 4.0) + " " + Math.ceil(n / 4.0)
        + " " + Math.round(2.5) + " " + Math.round(-2.5) + " " + Math.round(2.4f) + " " + Math.floorMod(-7, 3) + " " + Math.floorDiv(-7, 3) + " " + Math.log10(1000)
        + " " + Math.cbrt(27) + " " + (int) Math.pow(10, 12) + " " + Math.min('a', 'b') + " " + Math.signum(-2.5) + " " + Math.hypot(3, 4) + " " + (long) Math.pow(n, 2)
        + " " + Math.abs(-2.5f) + " " + Math.max(1.5, n) + " " + (int) (Math.log(8) / Math.log(2)) + " " + Math.addExact(3, n) + " " + (int) Math.sqrt(-1.0)
        + " " + Math.toRadians(180) + " " + Math.exp(0) + " " + Math.PI * 2 + " " + Math.ceil(-0.5) + " " + Math.rint(2.5);
}

// number classes
String solution() {
    return Integer.MAX_VALUE + " " + Integer.MIN_VALUE + " " + Long.MAX_VALUE + " " + (Double.MIN_VALUE > 0) + " " + Double.MAX_VALUE + " " + (int) Character.MAX_VALUE
        + " " + Double.POSITIVE_INFINITY + " " + Integer.parseInt("-42") + " " + Integer.parseInt("101", 2) + " " + Integer.valueOf("12") + " " + Integer.toString(9) + " " + Integer.toBinaryString(-3)
        + " " + Integer.toHexString(255) + " " + Integer.bitCount(255) + " " + Integer.compare(3, 5) + " " + Integer.max(2, 3) + " " + Integer.toString(10, 2)
        + " " + Long.parseLong("12345678901") + " " + Long.bitCount(7L) + " " + Integer.numberOfTrailingZeros(8) + " " + Integer.numberOfLeadingZeros(1) + " " + Integer.highestOneBit(100) + " " + Double.parseDouble("2.5")
        + " " + Integer.signum(-9) + " " + Integer.SIZE + " " + Long.numberOfTrailingZeros(1L << 40) + " " + Double.compare(1.5, 2.5) + " " + Integer.sum(2, 3);
}

// Character
String solution() {
    char c = 'x', d = '7', u = 'Q';
    Character boxed = 'z';
    return Character.isDigit(d) + " " + Character.isLetter(c) + " " + Character.isLetterOrDigit('_') + " " + Character.isUpperCase(u) + " " + Character.isLowerCase(u)
        + " " + Character.toUpperCase(c) + Character.toLowerCase(u) + Character.getNumericValue(d) + Character.getNumericValue('b') + Character.toString(c) + Character.valueOf(c) + boxed
        + Character.isWhitespace(' ') + (char) (Character.toUpperCase(c) + 1) + boxed.charValue() + boxed.equals('z') + (boxed == 'z') + Character.isAlphabetic(c);
}

// boxes
String solution() {
    Integer a = 5, b = 5, big = 1000, other = 1000;
    Long l = 7L;
    Boolean flag = true;
    Double d = 2.5;
    int sum = a + b;
    return (a == b) + " " + (big == other) + " " + big.equals(other) + " " + a.compareTo(big) + " " + sum + " " + l + flag + d + a.intValue() + (flag ? a : big) + d.intValue() + (a == 5);
}

// strings
String solution() {
    String s = "Hello, World", t = "hello";
    return s.charAt(4) + s.substring(7) + s.substring(0, 5) + s.indexOf("o") + s.indexOf('o', 5) + s.indexOf('?') + s.lastIndexOf('o') + s.contains("World") + s.startsWith("Hell")
        + s.endsWith("d") + s.toLowerCase() + s.toUpperCase() + "  x ".trim() + "|" + s.equals(t) + t.equalsIgnoreCase("HELLO") + s.isEmpty() + "".isEmpty() + s.replace('l', 'L')
        + s.replace("World", "D") + t.concat("!") + "ab".repeat(2) + s.length() + "abc".compareTo("abd") + "abc".compareTo("ab") + (t.compareTo("a") > 0) + String.valueOf(3) + String.valueOf('c')
        + String.join("-", "a b".split(" ")) + !s.equals(t) + "a1b2".replaceAll("[0-9]", "#") + "123".matches("[0-9]+") + String.format("%d-%s-%05.2f", 3, "x", 2.5) + "abc".contains("" + 'b');
}

// concatenation
String solution() {
    String s = "x";
    s += 1;
    s += 'c';
    s += 2.5;
    s += true;
    s = s + 1 + 2;
    s = 1 + 2 + s;
    s += 1 + 2;
    s += 'a' + 1;
    char c = 'q';
    s = c + s + c;
    s += (c > 'a' ? "yes" : "no") + (c == 'q' ? 1 : 2) + (c == 'q' ? 'A' : 66);
    s += 1.0f + " " + 100.0 + " " + 1e7 + " " + 0.001 + " " + 1.0e-5 + " " + 123456.789 + " " + (1.0 / 3) + " " + 3L + (float) 0.1 + 0.1 + -0.0 + 1e21;
    return s;
}

// split
String solution() {
    String[] parts = "a,b,,c,,".split(","), words = " one  two ".trim().split("\\s+"), letters = "abc".split(""), empty = "".split(",");
    return parts.length + parts[3] + words.length + words[1] + letters.length + letters[2] + empty.length + "x.y".split("\\.").length + " a b".split(" ").length;
}

// StringBuilder
String solution() {
    StringBuilder b = new StringBuilder();
    b.append("ab").append('c').append(12).append(1.5);
    b.insert(0, "<");
    b.insert(1, 'x').append(true);
    b.setCharAt(2, 'Z');
    b.deleteCharAt(b.length() - 1);
    String reversed = new StringBuilder("abc").reverse().toString();
    StringBuffer c = new StringBuffer("xyz");
    c.reverse();
    c.delete(0, 1);
    c.append(new char[]{'p', 'q'});
    String d = new StringBuilder(reversed).append("!").append(3).toString();
    b.setLength(b.length() - 1);
    return b.toString() + reversed + c + d + b.length() + b.charAt(1) + b.indexOf("c") + c.substring(1) + (b.length() > 3);
}

// histograms of characters
String solution() {
    String s = "mississippi";
    int[] freq = new int[26];
    for (char c : s.toCharArray()) freq[c - 'a']++;
    for (int i = 0; i < s.length(); ++i) freq[s.charAt(i) - 'a'] += 2;
    char[] cs = s.toCharArray();
    char t = cs[0];
    cs[0] = cs[1];
    cs[1] = t;
    boolean[] seen = new boolean[256];
    for (char c : cs) seen[c] = true;
    int ones = 0;
    for (int c : s.toCharArray()) ones += c;
    return new String(cs) + freq['s' - 'a'] + seen['m'] + seen['z'] + ones + (s == s) + (s.charAt(0) == 'm') + String.valueOf(cs).length();
}

// switch
String solution() {
    String s = "";
    for (int i = 0; i < 6; i++) {
        switch (i) {
            case 0:
                s += "zero";
            case 1:
                s += "one";
                break;
            case 2:
            case 3:
                s += "few";
                continue;
            case 5:
                s += "five";
            default:
                s += "many";
        }
        switch (s.charAt(0)) {
            case 'z':
                s += ".";
                break;
        }
        switch (s) {
            case "zero": return "no";
        }
    }
    return s;
}

// loops and labels
int solution() {
    int count = 0;
    outer:
    for (int i = 0; i < 5; i++) {
        for (int j = 0; ; j++) {
            if (j > i) continue outer;
            if (i == 3) break outer;
            count += i * j;
        }
    }
    int k = 0;
    do k += 2; while (k < 7);
    while (true) {
        if (k-- < 3) break;
    }
    for (int i = 0, j = 10; i < j; i++, j--) count++;
    for (; k < 5; ) k++;
    for (k = 0; k < 3; k++);
    if (k == 3);
    else count = -1;
    return count * 100 + k;
}

// precedence
String solution() {
    int a = 5, b = 3, c = 4, d = 4;
    boolean f = a > b == c < d, g = a > b & c == d | a == b ^ f, h = false;
    h |= g;
    h &= true;
    h ^= f;
    if (h = true) a++;
    boolean i = !(a == b) && !h || g;
    int x = a > b ? a < c ? 1 : 2 : 3, y = (a & 1) == 0 ? a | b : a ^ b;
    return f + " " + g + " " + h + " " + i + " " + x + y + (a & b | c ^ d) + (a + b << 2 - 1) + -(-a) + - -b + +c;
}

// order of evaluation
String solution() {
    int[] a = {1, 2, 3, 4, 5};
    int i = 0;
    a[i++] = a[i];
    a[i] = i = 2;
    int j = i++ + ++i;
    i += i++ * 2;
    int k = i = 5;
    int x = 1;
    x = x++ + x;
    int y = a[x = 2] + a[--x];
    int t = (a[0] + a[1]) - (a[1] = 7);
    return Arrays.toString(a) + i + " " + j + " " + k + " " + x + " " + y + " " + t;
}

// exceptions
int solution() {
    int count = 0;
    try {
        count += Integer.parseInt("12x");
    } catch (NumberFormatException e) {
        count += 5;
    } finally {
        count *= 2;
    }
    try {
        if (count > 3) throw new IllegalArgumentException("too many");
    } catch (Exception e) {
        count++;
    }
    int[] a = new int[1];
    try {
        a[count]++;
    } catch (ArrayIndexOutOfBoundsException e) {
        count += 100;
    }
    return count;
}

// names that D uses
String solution() {
    int in = 1, out = 2, max = 3, ref = 4, min = 5, string = 6, to = 7, abs = 8, sort = 9, body = 10, version = 11, key = 12, item = 13, row = 14, a = 1, b = 2;
    double[][] grid = new double[2][2];
    max = Math.max(max, Math.min(min, Math.abs(abs)));
    Integer[] values = {3, 1, 2};
    Arrays.sort(values, Collections.reverseOrder());
    List<Integer> l = new ArrayList<>();
    l.add(in + out + ref + string + to + sort + body + version + row + a + b);
    return l.get(0) + " " + max + min + key + item + values[0] + String.valueOf(to) + grid[1][1];
}

// final, assert, empty statements
int solution() {
    final int MOD = 1000000007;
    final int[] memo = new int[50];
    long sum = 0;
    for (int i = 0; i < memo.length; i++) {
        memo[i] = i < 2 ? i : (memo[i - 1] + memo[i - 2]) % MOD;
        sum = (sum * 31 + memo[i]) % MOD;
        assert sum < 0;
    }
    ;
    {
        int inner = 3;
        sum += inner;
    }
    return (int) sum;
}

// fields and helpers
static int base = 3, table[] = {1, 2};
int solution() {
    base++;
    return helper(base) + table[1];
}
private static int helper(int n) {
    return n <= 0 ? 0 : n + helper(n - 1);
}

// lists
String solution() {
    List<Integer> l = new ArrayList<>();
    for (int i = 0; i < 5; i++) l.add(i * i);
    l.add(1, 42);
    l.set(0, 7);
    l.remove(2);
    l.remove(Integer.valueOf(16));
    l.remove((Integer) 1000);
    ArrayList<String> words = new ArrayList<String>();
    words.add("b");
    words.add("a");
    Collections.sort(words);
    Collections.reverse(l);
    int sum = 0;
    for (int v : l) sum += v;
    for (Integer v : l) sum += v;
    List<List<Integer>> rows = new ArrayList<>();
    rows.add(new ArrayList<>());
    rows.add(new ArrayList<Integer>());
    rows.get(1).add(5);
    rows.get(1).add(6);
    Vector<Long> v = new Vector<>();
    v.add(3L);
    v.addElement(4L);
    List<Integer> copy = new ArrayList<>(l);
    Collections.sort(copy, Collections.reverseOrder());
    copy.sort((p, q) -> p - q);
    Collections.swap(copy, 0, 1);
    Integer[] boxed = {1, 2};
    List<Integer> fixed = Arrays.asList(4, 5, 6);
    l.addAll(fixed);
    return l + " " + words + sum + rows.size() + rows.get(1).get(1) + rows.get(0).isEmpty() + l.contains(42) + l.indexOf(42) + Collections.max(l) + Collections.min(l) + v.get(1) + v.size() + copy
        + Arrays.asList(boxed).contains(2) + l.get(l.size() - 1) + v.elementAt(0) + v.lastElement() + Collections.frequency(l, 4);
}

// stacks and queues
String solution() {
    Stack<Integer> s = new Stack<>();
    s.push(1);
    s.push(2);
    s.add(3);
    int top = s.pop(), next = s.peek();
    s.push(next + 10);
    String t = "" + top + next + s.size() + s.empty() + s.isEmpty() + s;
    while (!s.isEmpty()) t += s.pop();
    Stack<Character> cs = new Stack<Character>();
    for (char c : "([)".toCharArray()) cs.push(c);
    if (cs.peek() == ')') cs.pop();
    if (!cs.isEmpty() && cs.peek() == '[') t += cs.pop();
    Queue<Integer> q = new LinkedList<>();
    q.add(5);
    q.offer(6);
    q.add(7);
    t += q.peek() + q.poll() + q.size() + q.remove();
    Deque<Integer> d = new ArrayDeque<>();
    d.addFirst(1);
    d.addLast(2);
    d.push(0);
    d.offerLast(9);
    t += d.peekFirst() + d.peekLast() + d.pollLast() + d.pop() + d.size() + d.getFirst();
    LinkedList<Integer> l = new LinkedList<Integer>();
    l.add(4);
    l.addFirst(3);
    l.removeLast();
    t += l.getFirst() + l.size();
    Queue<int[]> pairs = new LinkedList<>();
    pairs.add(new int[]{1, 2});
    int[] pair = pairs.poll();
    if (pairs.peek() == null) t += "none";
    return t + pair[1] + pairs.isEmpty();
}

// priority queues
String solution() {
    PriorityQueue<Integer> least = new PriorityQueue<>(), most = new PriorityQueue<>(Collections.reverseOrder());
    PriorityQueue<Integer> most2 = new PriorityQueue<>((x, y) -> y - x);
    PriorityQueue<int[]> byFirst = new PriorityQueue<>((x, y) -> x[0] - y[0]);
    int[] values = {5, 1, 4, 1, 9};
    for (int v : values) {
        least.add(v);
        most.offer(v);
        most2.add(v);
        byFirst.add(new int[]{v % 2, v});
    }
    String s = "";
    while (!least.isEmpty()) s += least.poll() + " " + most.poll() + most2.remove();
    while (byFirst.size() > 0) s += byFirst.peek()[1] + "" + byFirst.poll()[0];
    return s;
}

// maps
String solution() {
    Map<Integer, Integer> m = new HashMap<>();
    int[] keys = {100, 5, 21, 37, -3, 5, 53, 16, 5, 1000003, 70000};
    for (int k : keys) m.put(k, m.getOrDefault(k, 0) + 1);
    for (int k : keys) {
        if (m.containsKey(k)) m.put(k, m.get(k) + 1);
        else m.put(k, 1);
    }
    m.putIfAbsent(5, 99);
    m.putIfAbsent(6, 99);
    m.merge(6, 1, Integer::sum);
    m.remove(37);
    String s = "";
    for (Map.Entry<Integer, Integer> e : m.entrySet()) s += e.getKey() + "=" + e.getValue() + (e.getKey() == e.getValue()) + ";";
    for (int k : m.keySet()) s += k + ",";
    for (int v : m.values()) s += v + ".";
    Set<Integer> view = m.keySet();
    for (Integer k : view) s += k;
    return s + m.size() + m.isEmpty() + m.containsValue(100) + (m.get(12345) == null) + (m.get(5) != null) + Collections.max(m.values());
}

// maps of other keys
String solution() {
    HashMap<String, Integer> count = new HashMap<String, Integer>();
    String[] words = {"pear", "fig", "apple", "fig", "kiwi", "banana", "cherry"};
    for (String w : words) {
        Integer c = count.get(w);
        if (c == null) count.put(w, 1);
        else count.put(w, c + 1);
    }
    String s = "";
    for (String w : count.keySet()) s += w + count.get(w);
    HashMap<Character, Integer> letters = new HashMap<>();
    for (char ch : "hello world".toCharArray()) letters.put(ch, letters.containsKey(ch) ? letters.get(ch) + 1 : 1);
    for (Map.Entry<Character, Integer> e : letters.entrySet()) s += e.getKey() + "" + e.getValue();
    HashMap<Long, Boolean> flags = new HashMap<>();
    flags.put(12345678901L, true);
    flags.put(3L, false);
    for (long k : flags.keySet()) s += k + "" + flags.get(k);
    HashMap<Integer, ArrayList<Integer>> groups = new HashMap<>();
    groups.put(1, new ArrayList<>());
    groups.get(1).add(4);
    groups.computeIfAbsent(2, k -> new ArrayList<>()).add(5);
    return s + groups.get(1).size() + groups.get(2).get(0);
}

// sets
String solution() {
    Set<Integer> s = new HashSet<>();
    int[] values = {40, 3, 19, 3, 35, -1};
    int twice = 0;
    for (int v : values) if (!s.add(v)) twice++;
    s.remove(19);
    boolean has = s.contains(3);
    String t = "" + twice + has + s.contains(19) + s.size() + (s.contains(40) && !s.contains(41)) + s.isEmpty();
    for (int v : s) t += v + " ";
    Iterator<Integer> it = s.iterator();
    while (it.hasNext()) t += it.next();
    HashSet<String> names = new HashSet<>(Arrays.asList("x", "y"));
    List<Integer> sorted = new ArrayList<>(s);
    Collections.sort(sorted);
    if (names.contains("x")) t += "x";
    return t + sorted + names.size() + s;
}

// sorted and linked
String solution() {
    TreeMap<Integer, String> m = new TreeMap<>();
    m.put(5, "five");
    m.put(1, "one");
    m.put(9, "nine");
    TreeSet<Integer> s = new TreeSet<>();
    for (int k : m.keySet()) s.add(-k);
    String t = "" + m.firstKey() + m.lastKey() + m.floorKey(6) + m.ceilingKey(6) + s.first() + s.last() + s.higher(-5) + s.lower(-5);
    for (Map.Entry<Integer, String> e : m.entrySet()) t += e.getKey() + e.getValue();
    for (int v : s) t += v;
    LinkedHashMap<Character, Integer> order = new LinkedHashMap<>();
    for (char c : "zebra".toCharArray()) order.put(c, order.size());
    for (char c : order.keySet()) t += c;
    LinkedHashSet<Integer> seen = new LinkedHashSet<>();
    seen.add(30);
    seen.add(2);
    seen.add(30);
    for (Integer v : seen) t += v;
    return t;
}

// resized hash maps
String solution() {
    Map<Integer, Integer> m = new HashMap<>();
    for (int i = 0; i < 40; i++) m.put(i * 37 % 101, i);
    for (int i = 0; i < 30; i++) m.remove(i * 37 % 101);
    String s = "";
    for (int k : m.keySet()) s += k + " ";
    Set<Integer> small = new HashSet<>(4);
    for (int i = 8; i > 0; i--) small.add(i * 4);
    for (int k : small) s += k + " ";
    return s;
}

// printing
String solution(){
    System.out.print("a" + 1);
    System.out.println();
    System.out.println('x');
    System.out.printf("%d %s\n", 3, "y");
    return "done";
}

// nested collections
String solution() {
    List<int[]> l = new ArrayList<>();
    l.add(new int[]{1, 2});
    Map<Integer, List<Integer>> groups = new HashMap<>();
    for (int i = 0; i < 5; i++) {
        if (!groups.containsKey(i % 2)) groups.put(i % 2, new ArrayList<Integer>());
        groups.get(i % 2).add(i);
    }
    int sum = 0;
    for (int v : groups.get(0)) sum += v;
    for (Map.Entry<Integer, List<Integer>> e : groups.entrySet()) for (int v : e.getValue()) sum += v * e.getKey();
    return l.get(0)[1] + " " + sum + groups.get(1).size() + groups.get(0);
}

// arrays of lists
String solution() {
    ArrayList<Integer>[] adj = new ArrayList[3];
    for (int i = 0; i < 3; i++) adj[i] = new ArrayList<>();
    adj[1].add(5);
    adj[1].add(6);
    Vector<Vector<Integer>> vv = new Vector<>();
    vv.add(new Vector<>());
    vv.get(0).add(3);
    boolean[] seen = new boolean[3];
    int c = 0;
    for (int v : adj[1]) c += v;
    return adj[1].get(1) + " " + adj[0].size() + c + vv.get(0).get(0) + seen[0] + adj[1].contains(6);
}

// mixed arithmetic
String solution() {
    long count = 0, mod = (long) 1e9 + 7;
    int n = 10;
    for (int i = 1; i <= n; i++) count = (count + (long) i * i % mod) % mod;
    double avg = (double) count / n;
    float fl = 3.7f;
    int q = (int) (avg + 0.5), w = (int) fl;
    char grade = avg > 5 ? 'A' : 'B';
    String res = "";
    while (n > 0) {
        res = (n % 2) + res;
        n /= 2;
    }
    int[][] mat = {{1, 2}, {3, 4}};
    int tr = 0;
    for (int[] row : mat) for (int v : row) tr += v;
    String[] names = new String[2];
    names[0] = "x";
    names[1] = names[0] + tr;
    int ch = "abc".charAt(1);
    int dd = 'z' - 'a';
    boolean even = (tr & 1) == 0 ? true : false;
    int abs = Math.abs(tr - 20);
    int min = Math.min(tr, Math.min(abs, 3));
    long big = 1;
    for (int i = 0; i < 70; i++) big *= 3;
    int sh = 1 << 31 >> 3;
    return count + " " + avg + " " + q + w + grade + res + tr + names[1] + ch + dd + even + abs + min + big + " " + sh + (char) ch + (float) 1 / 3 + 1 / 3 + 7 % -3 + -7 % 3 + 5.5 % 2;
}

// collections of characters
String solution() {
    Set<Character> vowels = new HashSet<>(Arrays.asList('a', 'e', 'i'));
    Map<Character, Integer> freq = new HashMap<>();
    String s = "banana tree";
    for (int i = 0; i < s.length(); i++) {
        char c = s.charAt(i);
        freq.put(c, freq.getOrDefault(c, 0) + 1);
    }
    int v = 0;
    for (char c : s.toCharArray()) if (vowels.contains(c)) v++;
    char best = ' ';
    int most = 0;
    for (char c : freq.keySet()) if (freq.get(c) > most) { most = freq.get(c); best = c; }
    Stack<Character> st = new Stack<>();
    st.push('(');
    st.push(s.charAt(2));
    char top = st.pop();
    StringBuilder sb = new StringBuilder();
    for (char c : "hello".toCharArray()) sb.insert(0, c);
    List<Character> cl = new ArrayList<>();
    for (char c : "dcba".toCharArray()) cl.add(c);
    Collections.sort(cl);
    return v + " " + best + most + top + st.peek() + sb + cl.get(0) + cl + Collections.max(freq.values()) + sb.reverse();
}

// declarations without a value
int solution() {
    int i, j, best = Integer.MIN_VALUE, a[] = {3, -1, 4}, n = a.length, cur = 0;
    for (i = 0; i < n; ++i) {
        cur = cur + a[i];
        best = best < cur ? cur : best;
        if (cur < 0) cur = 0;
    }
    j = n;
    while (j-- > 0) best += a[j];
    do { best--; } while (best > 10 && j < 100);
    int k = 0, m = (k = 3) + k;
    return best + m;
}

// iterators
int solution() {
    List<Integer> l = new LinkedList<>(Arrays.asList(5, 6, 7));
    Iterator<Integer> it = l.iterator();
    int s = 0;
    while (it.hasNext()) {
        int v = it.next();
        s = s * 10 + v;
    }
    for (Integer x : l) s += x;
    HashMap<Integer, Integer> m = new HashMap<>();
    m.put(1, 2);
    Iterator<Map.Entry<Integer, Integer>> e = m.entrySet().iterator();
    while (e.hasNext()) {
        Map.Entry<Integer, Integer> p = e.next();
        s += p.getKey() + p.getValue();
    }
    return s;
}

// a part of an array as a string
String solution() {
    char[] letters = "abcdef".toCharArray();
    int k = 2;
    return new String(letters, 1, k + 1) + new String(letters, k, 0) + new String(letters);
}

// a collection that is taken out of another and changed
String solution() {
    Map<Integer, List<Integer>> map = new HashMap<>();
    List<Integer>[] table = new ArrayList[3];
    List<List<Integer>> lists = new ArrayList<>();
    Map<Integer, Set<Integer>> sets = new HashMap<>();
    for (int i = 0; i < 3; i++) {
        map.put(i, new ArrayList<>());
        table[i] = new ArrayList<>();
        lists.add(new ArrayList<>());
        sets.put(i, new HashSet<>());
    }
    List<Integer> a = map.get(1), b = table[2];
    List<Integer> c = lists.get(0);
    Set<Integer> s = sets.get(2);
    for (int i = 0; i < 9; i++) {
        a.add(i);
        b.add(0, i);
        c.add(i * i);
        s.add(i % 4);
    }
    a.remove(3);
    int sum = 0;
    for (int k : c) sum += k;
    return map.get(1).size() + " " + table[2].get(0) + " " + lists.get(0).size() + " " + sets.get(2).size() + " " + sum + " " + a.get(3) + " " + b.size();
}

// declared by an interface
String solution() {
    Map<Integer, Integer> sorted = new TreeMap<>(), linked = new LinkedHashMap<>();
    Set<Integer> set = new TreeSet<>();
    Queue<Integer> heap = new PriorityQueue<>();
    for (int i = 40; i > 0; i -= 7) {
        sorted.put(i, -i);
        linked.put(i, i);
        set.add(i);
        heap.add(i);
    }
    String text = "";
    for (int k : sorted.keySet()) text += k + " ";
    for (int v : linked.values()) text += v + " ";
    for (int k : set) text += k + " ";
    return text + heap.poll();
}

// empty and unnamed arrays of real numbers
static double[] zeros(int n) {
    return new double[n];
}
static double[] nothing() {
    return new double[0];
}
String solution() {
    double[] d = new double[0];
    return d.length + " " + nothing().length + " " + (zeros(3)[2] + 1);
}

// anonymous collections, filled where they are made
String solution() {
    Map<Character, Integer> roman = new HashMap<Character, Integer>() {{
        put('I', 1);
        put('V', 5);
    }};
    HashMap<Integer, Integer> walked = new HashMap<Integer, Integer>() {{ put(30, 1); put(17, 2); }};
    List<Integer> list = new ArrayList<Integer>() {{ add(4); add(5); }};
    Set<String> set = new HashSet<String>() {{ add("a"); }};
    String text = "";
    for (int k : walked.keySet()) text += k + " ";
    return text + roman.get('V') + roman.size() + list.get(1) + set.contains("a") + set.contains("b");
}

// sorting in parallel
String solution() {
    int[] a = {3, 1, 2};
    Arrays.parallelSort(a);
    return a[0] + " " + a[1] + " " + a[2];
}
