import java.util.*;

class Maps {
    // text: 4..10 of "abcab"
    static double letterEntropy(String text) {
        TreeMap<Character, Integer> counts = new TreeMap<Character, Integer>();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            counts.put(c, counts.getOrDefault(c, 0) + 1);
        }
        double entropy = 0;
        for (int count : counts.values()) {
            double p = (double) count / text.length();
            entropy -= p * Math.log(p) / Math.log(2);
        }
        return entropy;
    }

    // arr: 4..9 of 1..6
    static double shareOfMostCommon(int arr[]) {
        Map<Integer, Integer> counts = new HashMap<>();
        int most = 0;
        for (int v : arr) {
            counts.put(v, counts.getOrDefault(v, 0) + 1);
            most = Math.max(most, counts.get(v));
        }
        return (double) most / arr.length;
    }

    // a: 3..6 of "abcd"; b: 3..6 of "abcd"
    static int deletionsForAnagram(String a, String b) {
        HashMap<Character, Integer> balance = new HashMap<>();
        for (char c : a.toCharArray())
            balance.put(c, balance.getOrDefault(c, 0) + 1);
        for (char c : b.toCharArray())
            balance.put(c, balance.getOrDefault(c, 0) - 1);
        int deletions = 0;
        for (char c : balance.keySet())
            deletions += Math.abs(balance.get(c));
        return deletions;
    }

    // s: 4..10 of "aabbc"
    static boolean canBecomePalindrome(String s) {
        Set<Character> odd = new HashSet<>();
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (odd.contains(c))
                odd.remove(c);
            else
                odd.add(c);
        }
        return odd.size() <= 1;
    }

    // arr: 5..9 of 1..20
    static int mostFrequentDifference(int arr[]) {
        TreeMap<Integer, Integer> counts = new TreeMap<>();
        for (int i = 0; i < arr.length; i++) {
            for (int j = i + 1; j < arr.length; j++) {
                int d = Math.abs(arr[i] - arr[j]);
                counts.put(d, counts.getOrDefault(d, 0) + 1);
            }
        }
        int best = -1, times = Integer.MIN_VALUE;
        for (Map.Entry<Integer, Integer> e : counts.entrySet()) {
            if (e.getValue() > times) {
                times = e.getValue();
                best = e.getKey();
            }
        }
        return best;
    }

    // x: 4..7 of -3..3; y: 7 of -3..3
    static int distinctPoints(int x[], int y[]) {
        Set<String> points = new HashSet<>();
        for (int i = 0; i < x.length; i++)
            points.add(x[i] + "," + y[i]);
        return points.size();
    }

    // moves: 4..12 of "UDLR"
    static int fieldsVisited(String moves) {
        Set<Integer> visited = new HashSet<>();
        int x = 0, y = 0;
        visited.add(0);
        for (int i = 0; i < moves.length(); i++) {
            char m = moves.charAt(i);
            if (m == 'U')
                y++;
            if (m == 'D')
                y--;
            if (m == 'L')
                x--;
            if (m == 'R')
                x++;
            visited.add(1000 * x + y);
        }
        return visited.size();
    }

    // arr: 4..9 of 0..20; m: 3..6
    static int largestRemainderClass(int arr[], int m) {
        Map<Integer, Integer> classes = new HashMap<>();
        for (int i = 0; i < arr.length; i++) {
            int rest = arr[i] % m;
            if (!classes.containsKey(rest))
                classes.put(rest, 0);
            classes.put(rest, classes.get(rest) + arr[i]);
        }
        int best = 0;
        for (int rest = 0; rest < m; rest++)
            if (classes.containsKey(rest))
                best = Math.max(best, classes.get(rest));
        return best;
    }

    // arr: 4..8 of -3..4; k: -2..6
    static int longestStretchWithSum(int arr[], int k) {
        Map<Integer, Integer> firstAt = new HashMap<>();
        firstAt.put(0, -1);
        int sum = 0;
        int longest = 0;
        for (int i = 0; i < arr.length; i++) {
            sum += arr[i];
            if (firstAt.containsKey(sum - k))
                longest = Math.max(longest, i - firstAt.get(sum - k));
            if (!firstAt.containsKey(sum))
                firstAt.put(sum, i);
        }
        return longest;
    }

    // n: 2..40; m: 30..130
    static int stepsUntilRepeat(int n, int m) {
        Map<Integer, Integer> seen = new HashMap<>();
        int value = n;
        int step = 0;
        while (!seen.containsKey(value)) {
            seen.put(value, step++);
            value = (value * value + 1) % m;
        }
        return step - seen.get(value);
    }

    // n: 1..25
    static int recamanTerm(int n) {
        Set<Integer> used = new HashSet<>();
        int value = 0;
        used.add(value);
        for (int i = 1; i <= n; i++) {
            int back = value - i;
            if (back > 0 && !used.contains(back))
                value = back;
            else
                value += i;
            used.add(value);
        }
        return value;
    }

    // n: 2..60
    static int vanEckTerm(int n) {
        HashMap<Integer, Integer> last = new HashMap<>();
        int term = 0;
        for (int i = 1; i < n; i++) {
            int next = last.containsKey(term) ? i - last.get(term) : 0;
            last.put(term, i);
            term = next;
        }
        return term;
    }

    // english: 2..4 of ["one", "two", "six", "ten"]
    static int sumOfNumberWords(String english[]) {
        Map<String, Integer> values = new HashMap<>();
        values.put("one", 1);
        values.put("two", 2);
        values.put("six", 6);
        int sum = 0;
        for (String word : english)
            sum += values.getOrDefault(word, 10);
        return sum;
    }

    // s: 2..6 of "sotm"
    static String toMorse(String s) {
        HashMap<Character, String> code = new HashMap<Character, String>();
        code.put('s', "...");
        code.put('o', "---");
        code.put('t', "-");
        code.put('m', "--");
        StringBuilder sb = new StringBuilder();
        for (int i = 0; i < s.length(); i++) {
            if (i > 0)
                sb.append(' ');
            sb.append(code.get(s.charAt(i)));
        }
        return sb.toString();
    }

    // key: distinct 3..5 of 'a'..'h'; text: 3..8 of 'a'..'h'
    static String decodedWithKey(String key, String text) {
        Map<Character, Character> table = new HashMap<>();
        for (int i = 0; i < key.length(); i++)
            table.put(key.charAt(i), (char) ('z' - i));
        String out = "";
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            out += table.containsKey(c) ? table.get(c) : c;
        }
        return out;
    }

    // scores: 3..6 of 40..100; names: 6 of ["al", "bo", "cy"]
    static double bestAverageScore(int scores[], String names[]) {
        Map<String, Integer> sums = new HashMap<>();
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < scores.length; i++) {
            sums.put(names[i], sums.getOrDefault(names[i], 0) + scores[i]);
            counts.put(names[i], counts.getOrDefault(names[i], 0) + 1);
        }
        double best = 0;
        for (String name : sums.keySet())
            best = Math.max(best, (double) sums.get(name) / counts.get(name));
        return best;
    }

    // items: 3..7 of ["nut", "bolt", "gear"]; amounts: 7 of 1..9
    static int stockOfScarcestItem(String items[], int amounts[]) {
        Map<String, Integer> stock = new HashMap<>();
        for (int i = 0; i < items.length; i++) {
            if (stock.containsKey(items[i]))
                stock.put(items[i], stock.get(items[i]) + amounts[i]);
            else
                stock.put(items[i], amounts[i]);
        }
        int least = Integer.MAX_VALUE;
        for (int amount : stock.values())
            least = Math.min(least, amount);
        return least;
    }

    // a: 3..7 of 1..9; b: 3..7 of 1..9
    static int[] sortedUnion(int a[], int b[]) {
        TreeSet<Integer> union = new TreeSet<>();
        for (int v : a)
            union.add(v);
        for (int v : b)
            union.add(v);
        int result[] = new int[union.size()];
        int i = 0;
        for (int v : union)
            result[i++] = v;
        return result;
    }

    // a: 3..7 of 1..9; b: 3..7 of 1..9
    static double jaccardSimilarity(int a[], int b[]) {
        Set<Integer> first = new HashSet<>();
        for (int i = 0; i < a.length; i++)
            first.add(a[i]);
        Set<Integer> union = new HashSet<>(first);
        Set<Integer> shared = new HashSet<>();
        for (int i = 0; i < b.length; i++) {
            union.add(b[i]);
            if (first.contains(b[i]))
                shared.add(b[i]);
        }
        return (double) shared.size() / union.size();
    }

    // arr: 4..8 of 1..20
    static int sumOfNeighboursInTree(int arr[]) {
        TreeSet<Integer> tree = new TreeSet<>();
        int sum = 0;
        for (int v : arr) {
            if (!tree.isEmpty()) {
                sum += tree.first();
                sum += tree.last();
            }
            tree.add(v);
        }
        return sum;
    }

    // logins: 4..9 of 1..4; limit: 2..3
    static int firstOverLimit(int logins[], int limit) {
        Map<Integer, Integer> counts = new HashMap<>();
        for (int i = 0; i < logins.length; i++) {
            int now = counts.getOrDefault(logins[i], 0) + 1;
            counts.put(logins[i], now);
            if (now > limit)
                return i;
        }
        return -1;
    }

    // n: 5..60
    static long waysWithMemo(int n) {
        Map<Integer, Long> memo = new HashMap<>();
        memo.put(0, 1L);
        for (int i = 1; i <= n; i++) {
            long ways = memo.get(i - 1);
            if (i >= 3)
                ways += memo.get(i - 3);
            memo.put(i, ways);
        }
        return memo.get(n);
    }

    // a: 3..5 of -3..3; b: 5 of -3..3
    static int zeroSumPairsAcross(int a[], int b[]) {
        HashMap<Integer, Integer> sums = new HashMap<Integer, Integer>();
        for (int x : a)
            for (int y : a)
                sums.put(x + y, sums.getOrDefault(x + y, 0) + 1);
        int count = 0;
        for (int x : b)
            for (int y : b)
                if (sums.containsKey(-(x + y)))
                    count += sums.get(-(x + y));
        return count;
    }

    // from: ["oslo", "rome", "kiev"]; to: ["rome", "kiev", "bern"]; start: "oslo" | "rome" | "kiev" | "bern"; most: 0..4
    static String finalStop(String from[], String to[], String start, int most) {
        Map<String, String> next = new HashMap<>();
        for (int i = 0; i < from.length; i++)
            next.put(from[i], to[i]);
        String now = start;
        int steps = 0;
        while (next.containsKey(now) && steps < most) {
            now = next.get(now);
            steps++;
        }
        return now + steps;
    }
}
