import java.util.*;

class Lists {
    // n: 1..1000
    static int sumOfOddDivisors(int n) {
        List<Integer> divisors = new ArrayList<>();
        for (int d = 1; d <= (int) Math.sqrt(n); d++) {
            if (n % d == 0) {
                divisors.add(d);
                if (d != n / d)
                    divisors.add(n / d);
            }
        }
        int sum = 0;
        for (int d : divisors)
            if (d % 2 == 1)
                sum += d;
        return sum;
    }

    // n: 0..100000
    static String digitsByStack(int n) {
        Stack<Integer> digits = new Stack<>();
        do {
            digits.push(n % 8);
            n /= 8;
        } while (n > 0);
        String text = "";
        while (!digits.isEmpty())
            text += digits.pop();
        return text;
    }

    // arr: 3..9 of 1..99
    static int smallestWithDigitsSwapped(int arr[]) {
        ArrayList<Integer> list = new ArrayList<Integer>();
        for (int i = 0; i < arr.length; i++)
            list.add(arr[i] % 10 * 10 + arr[i] / 10);
        int min = Integer.MAX_VALUE;
        for (int i = 0; i < list.size(); i++)
            min = Math.min(min, list.get(i));
        return min;
    }

    // a: 3..6 of 1..20; b: 3..6 of 1..20
    static int[] alternatelyTaken(int a[], int b[]) {
        Queue<Integer> first = new LinkedList<>();
        Queue<Integer> second = new LinkedList<>();
        for (int v : a)
            first.add(v);
        for (int v : b)
            second.add(v);
        int out[] = new int[a.length + b.length];
        int k = 0;
        while (!first.isEmpty() || !second.isEmpty()) {
            if (!first.isEmpty())
                out[k++] = first.remove();
            if (!second.isEmpty())
                out[k++] = second.remove();
        }
        return out;
    }

    // arr: 4..9 of 1..9
    static int[] withoutItsMinimum(int arr[]) {
        List<Integer> kept = new ArrayList<>();
        int min = Integer.MAX_VALUE;
        for (int v : arr)
            min = Math.min(min, v);
        for (int v : arr)
            if (v != min)
                kept.add(v);
        int result[] = new int[kept.size()];
        for (int i = 0; i < kept.size(); i++)
            result[i] = kept.get(i);
        return result;
    }

    // text: "a1b2" | "x" | "9k" | "hello5" | "10 ways" | "p4q" | "no digits" | "77" | "z0" | "r2d2"
    static String lettersThenDigits(String text) {
        List<Character> letters = new ArrayList<>();
        List<Character> digits = new ArrayList<>();
        for (char c : text.toCharArray()) {
            if (Character.isLetter(c))
                letters.add(c);
            else if (Character.isDigit(c))
                digits.add(c);
        }
        StringBuilder sb = new StringBuilder();
        for (char c : letters)
            sb.append(c);
        for (char c : digits)
            sb.append(c);
        return sb.toString();
    }

    // n: 1..9; k: 1..30
    static int kthOfPermutedDigits(int n, int k) {
        List<Integer> digits = new ArrayList<>();
        for (int d = 1; d <= Math.min(n, 5); d++)
            digits.add(d);
        int value = 0;
        while (digits.size() > 0) {
            int index = k % digits.size();
            value = value * 10 + digits.get(index);
            List<Integer> rest = new ArrayList<>();
            for (int i = 0; i < digits.size(); i++)
                if (i != index)
                    rest.add(digits.get(i));
            digits = rest;
        }
        return value;
    }

    // n: 2..30
    static int lookAndSayLength(int n) {
        List<Integer> term = new ArrayList<>();
        term.add(n);
        for (int step = 0; step < n % 6 + 1; step++) {
            List<Integer> next = new ArrayList<>();
            int i = 0;
            while (i < term.size()) {
                int j = i;
                while (j < term.size() && term.get(j).equals(term.get(i)))
                    j++;
                next.add(j - i);
                next.add(term.get(i));
                i = j;
            }
            term = next;
        }
        int sum = 0;
        for (int v : term)
            sum += v;
        return sum;
    }

    // temperatures: 4..9 of 5..30; days: 2..3
    static double hottestAverage(int temperatures[], int days) {
        Deque<Integer> window = new LinkedList<>();
        int sum = 0;
        double best = Integer.MIN_VALUE;
        for (int t : temperatures) {
            window.addLast(t);
            sum += t;
            if (window.size() > days)
                sum -= window.removeFirst();
            if (window.size() == days)
                best = Math.max(best, (double) sum / days);
        }
        return best;
    }

    // arr: 3..8 of 1..40
    static long sumOfSortedGapsSquared(int arr[]) {
        List<Integer> list = new ArrayList<>();
        for (int v : arr)
            list.add(v);
        Collections.sort(list);
        long sum = 0;
        for (int i = 1; i < list.size(); i++) {
            int gap = list.get(i) - list.get(i - 1);
            sum += (long) gap * gap;
        }
        return sum;
    }

    // arr: 3..8 of 1..40
    static double medianByList(int arr[]) {
        ArrayList<Integer> list = new ArrayList<>();
        for (int i = 0; i < arr.length; i++)
            list.add(arr[i]);
        Collections.sort(list);
        int middle = list.size() / 2;
        if (list.size() % 2 == 1)
            return (double) list.get(middle);
        return (list.get(middle - 1) + list.get(middle)) / 2.0;
    }

    // tasks: 4..8 of 1..9; workers: 2..3
    static int finishTimeOfWorkers(int tasks[], int workers) {
        PriorityQueue<Integer> free = new PriorityQueue<>();
        for (int w = 0; w < workers; w++)
            free.add(0);
        int finish = 0;
        for (int i = 0; i < tasks.length; i++) {
            int start = free.poll();
            int end = start + tasks[i];
            finish = Math.max(finish, end);
            free.add(end);
        }
        return finish;
    }

    // arr: 3..7 of 1..60; rounds: 1..5
    static int sumAfterHalvingLargest(int arr[], int rounds) {
        PriorityQueue<Integer> heap = new PriorityQueue<>(Collections.reverseOrder());
        for (int v : arr)
            heap.add(v);
        for (int r = 0; r < rounds; r++) {
            int largest = heap.poll();
            heap.add((int) Math.ceil(largest / 2.0));
        }
        int sum = 0;
        while (!heap.isEmpty())
            sum += heap.poll();
        return sum;
    }

    // frequencies: 2..6 of 1..30
    static int huffmanBits(int frequencies[]) {
        PriorityQueue<Integer> queue = new PriorityQueue<Integer>();
        for (int i = 0; i < frequencies.length; i++)
            queue.add(frequencies[i]);
        int bits = 0;
        while (queue.size() > 1) {
            int first = queue.poll();
            int second = queue.poll();
            bits += first + second;
            queue.add(first + second);
        }
        return bits;
    }

    // buildings: 3..9 of 1..15
    static int buildingsWithSeaView(int buildings[]) {
        Stack<Integer> view = new Stack<>();
        for (int height : buildings) {
            while (!view.isEmpty() && view.peek() <= height)
                view.pop();
            view.push(height);
        }
        return view.size();
    }

    // bars: 3..8 of 1..9
    static int largestBarRectangle(int bars[]) {
        Stack<Integer> open = new Stack<>();
        int best = 0;
        for (int i = 0; i <= bars.length; i++) {
            int height = i == bars.length ? 0 : bars[i];
            while (!open.isEmpty() && bars[open.peek()] > height) {
                int top = bars[open.pop()];
                int width = open.isEmpty() ? i : i - open.peek() - 1;
                best = Math.max(best, top * width);
            }
            open.push(i);
        }
        return best;
    }

    // s: 4..10 of "abc#"
    static String typedWithBackspace(String s) {
        Stack<Character> typed = new Stack<>();
        for (int i = 0; i < s.length(); i++) {
            if (s.charAt(i) != '#')
                typed.push(s.charAt(i));
            else if (!typed.isEmpty())
                typed.pop();
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < typed.size(); i++)
            text.append(typed.get(i));
        return text.toString();
    }

    // actions: 5..12 of "PQX"; seed: 1..30
    static int valueAfterStackActions(String actions, int seed) {
        Stack<Integer> stack = new Stack<>();
        stack.push(seed);
        for (char action : actions.toCharArray()) {
            if (action == 'P') {
                stack.push(stack.peek() * 2 % 97);
            } else if (action == 'Q' && stack.size() > 1) {
                int top = stack.pop();
                stack.push(stack.pop() + top);
            } else if (stack.size() > 1) {
                stack.pop();
            }
        }
        return stack.peek();
    }

    // children: 2..9; words: 2..9
    static String countingRhymeOrder(int children, int words) {
        List<Integer> circle = new ArrayList<>();
        for (int i = 1; i <= children; i++)
            circle.add(i);
        String order = "";
        int position = 0;
        while (!circle.isEmpty()) {
            position = (position + words - 1) % circle.size();
            order += circle.get(position);
            List<Integer> left = new ArrayList<>();
            for (int i = 0; i < circle.size(); i++)
                if (i != position)
                    left.add(circle.get(i));
            circle = left;
        }
        return order;
    }

    // words: 3..5 of ["kiwi", "fig", "apple", "plum", "pear"]; n: 3..5
    static String wordsOfLength(String words[], int n) {
        List<String> found = new ArrayList<>();
        for (String w : words) {
            if (w.length() == n && !found.contains(w))
                found.add(w);
        }
        return String.join(",", found);
    }

    // n: 1..6; m: 1..5
    static int[] joinedRanges(int n, int m) {
        List<Integer> values = new ArrayList<>();
        for (int i = n; i > 0; i--)
            values.add(i * i);
        for (int j = 1; j <= m; j++)
            values.add(-j);
        int array[] = new int[values.size()];
        int index = 0;
        for (Integer v : values)
            array[index++] = v;
        return array;
    }
}
