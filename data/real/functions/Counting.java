import java.util.*;

class Counting {
    // arr: 4..9 of 1..6
    static int mostCommonValue(int arr[]) {
        HashMap<Integer, Integer> counts = new HashMap<Integer, Integer>();
        int best = arr[0];
        for (int i = 0; i < arr.length; i++) {
            counts.put(arr[i], counts.getOrDefault(arr[i], 0) + 1);
            if (counts.get(arr[i]) > counts.get(best))
                best = arr[i];
        }
        return best;
    }

    // arr: 4..10 of 1..8; n: arr.length
    static int distinctElements(int arr[], int n) {
        HashSet<Integer> set = new HashSet<>();
        for (int i = 0; i < n; i++)
            set.add(arr[i]);
        return set.size();
    }

    // a: 3..7 of 1..12; b: 3..7 of 1..12
    static int sizeOfIntersection(int a[], int b[]) {
        Set<Integer> inA = new HashSet<Integer>();
        for (int x : a)
            inA.add(x);
        Set<Integer> both = new HashSet<Integer>();
        for (int x : b)
            if (inA.contains(x))
                both.add(x);
        return both.size();
    }

    // a: 3..7 of 1..9; b: 2..5 of 1..9
    static int sumOnlyInFirst(int[] a, int[] b) {
        HashSet<Integer> second = new HashSet<>();
        for (int i = 0; i < b.length; i++)
            second.add(b[i]);
        int sum = 0;
        for (int i = 0; i < a.length; i++) {
            if (!second.contains(a[i]))
                sum += a[i];
        }
        return sum;
    }

    // arr: 5..9 of -5..8; target: 2..9
    static int pairsAddingTo(int arr[], int target) {
        Map<Integer, Integer> seen = new HashMap<>();
        int pairs = 0;
        for (int x : arr) {
            if (seen.containsKey(target - x))
                pairs += seen.get(target - x);
            if (seen.containsKey(x))
                seen.put(x, seen.get(x) + 1);
            else
                seen.put(x, 1);
        }
        return pairs;
    }

    // arr: 5..9 of -4..4
    static int stretchesWithZeroSum(int arr[]) {
        HashMap<Integer, Integer> prefix = new HashMap<>();
        prefix.put(0, 1);
        int sum = 0, count = 0;
        for (int i = 0; i < arr.length; i++) {
            sum += arr[i];
            count += prefix.getOrDefault(sum, 0);
            prefix.put(sum, prefix.getOrDefault(sum, 0) + 1);
        }
        return count;
    }

    // arr: 5..10 of 1..12
    static int longestConsecutiveValues(int arr[]) {
        Set<Integer> values = new HashSet<>();
        for (int v : arr)
            values.add(v);
        int best = 0;
        for (int v : arr) {
            if (values.contains(v - 1))
                continue;
            int length = 1;
            while (values.contains(v + length))
                length++;
            best = Math.max(best, length);
        }
        return best;
    }

    // arr: 4..9 of 1..5
    static int firstToRepeat(int arr[]) {
        HashSet<Integer> seen = new HashSet<Integer>();
        for (int i = 0; i < arr.length; i++) {
            if (!seen.add(arr[i]))
                return arr[i];
        }
        return -1;
    }

    // arr: 5..10 of 1..5; k: 1..4
    static boolean repeatsWithin(int arr[], int k) {
        Map<Integer, Integer> last = new HashMap<>();
        for (int i = 0; i < arr.length; i++) {
            if (last.containsKey(arr[i]) && i - last.get(arr[i]) <= k)
                return true;
            last.put(arr[i], i);
        }
        return false;
    }

    // words: 3..6 of ["red", "blue", "green", "red", "pink"]
    static int wordsThatOccurOnce(String words[]) {
        Map<String, Integer> counts = new HashMap<>();
        for (String word : words)
            counts.put(word, counts.getOrDefault(word, 0) + 1);
        int once = 0;
        for (Map.Entry<String, Integer> entry : counts.entrySet()) {
            if (entry.getValue() == 1)
                once++;
        }
        return once;
    }

    // words: 3..6 of ["tea", "eat", "tan", "ate", "nat", "bat"]
    static int groupsOfAnagrams(String[] words) {
        Set<String> groups = new HashSet<>();
        for (String word : words) {
            char letters[] = word.toCharArray();
            Arrays.sort(letters);
            groups.add(new String(letters));
        }
        return groups.size();
    }

    // s: 4..12 of "abcd"
    static String letterHistogram(String s) {
        TreeMap<Character, Integer> counts = new TreeMap<>();
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            counts.put(c, counts.getOrDefault(c, 0) + 1);
        }
        StringBuilder sb = new StringBuilder();
        for (Map.Entry<Character, Integer> e : counts.entrySet())
            sb.append(e.getKey()).append(e.getValue());
        return sb.toString();
    }

    // a: 3..5 of "abc" | "egg" | "paper" | "foo"; b: 5 of "xyz" | "add" | "title" | "bar"
    static boolean lettersCorrespond(String a, String b) {
        if (a.length() != b.length())
            return false;
        Map<Character, Character> there = new HashMap<>();
        Map<Character, Character> back = new HashMap<>();
        for (int i = 0; i < a.length(); i++) {
            char x = a.charAt(i), y = b.charAt(i);
            if (there.containsKey(x) && there.get(x) != y)
                return false;
            if (back.containsKey(y) && back.get(y) != x)
                return false;
            there.put(x, y);
            back.put(y, x);
        }
        return true;
    }

    // n: 2..60
    static int countPrimesInList(int n) {
        List<Integer> primes = new ArrayList<>();
        for (int candidate = 2; candidate <= n; candidate++) {
            boolean isPrime = true;
            for (int i = 0; i < primes.size(); i++) {
                if (candidate % primes.get(i) == 0) {
                    isPrime = false;
                    break;
                }
            }
            if (isPrime)
                primes.add(candidate);
        }
        return primes.size();
    }

    // arr: 3..8 of 1..30
    static int[] evensBeforeOdds(int arr[]) {
        ArrayList<Integer> even = new ArrayList<>();
        ArrayList<Integer> odd = new ArrayList<>();
        for (int v : arr) {
            if (v % 2 == 0)
                even.add(v);
            else
                odd.add(v);
        }
        int result[] = new int[arr.length];
        int k = 0;
        for (int v : even)
            result[k++] = v;
        for (int v : odd)
            result[k++] = v;
        return result;
    }

    // n: 1..40
    static int ulamStyleTerm(int n) {
        List<Integer> terms = new ArrayList<Integer>();
        terms.add(1);
        terms.add(2);
        while (terms.size() <= n) {
            int size = terms.size();
            int next = terms.get(size - 1) + terms.get(size / 2 - 1);
            terms.add(next);
        }
        return terms.get(n);
    }

    // people: 2..15; step: 2..6
    static int lastPersonInQueue(int people, int step) {
        Queue<Integer> queue = new LinkedList<>();
        for (int i = 1; i <= people; i++)
            queue.add(i);
        while (queue.size() > 1) {
            for (int i = 1; i < step; i++)
                queue.add(queue.poll());
            queue.poll();
        }
        return queue.peek();
    }

    // ropes: 2..7 of 1..20
    static int costOfJoiningRopes(int ropes[]) {
        PriorityQueue<Integer> heap = new PriorityQueue<>();
        for (int r : ropes)
            heap.add(r);
        int cost = 0;
        while (heap.size() > 1) {
            int joined = heap.poll() + heap.poll();
            cost += joined;
            heap.add(joined);
        }
        return cost;
    }

    // n: 2..12
    static String binaryNumbersByQueue(int n) {
        Queue<String> queue = new LinkedList<String>();
        queue.add("1");
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < n; i++) {
            String s = queue.poll();
            out.append(s).append(' ');
            queue.add(s + "0");
            queue.add(s + "1");
        }
        return out.toString().trim();
    }

    // arr: 5..9 of -9..9; k: 2..4
    static int[] maximaOfWindows(int arr[], int k) {
        int n = arr.length;
        int result[] = new int[n - k + 1];
        Deque<Integer> deque = new ArrayDeque<>();
        for (int i = 0; i < n; i++) {
            while (!deque.isEmpty() && arr[deque.peekLast()] <= arr[i])
                deque.pollLast();
            deque.addLast(i);
            if (deque.peekFirst() <= i - k)
                deque.pollFirst();
            if (i >= k - 1)
                result[i - k + 1] = arr[deque.peekFirst()];
        }
        return result;
    }

    // n: 2..9; k: 1..12
    static String kthWordWithoutDoubles(int n, int k) {
        List<String> words = new ArrayList<>();
        words.add("");
        for (int length = 0; length < Math.min(n, 5); length++) {
            List<String> longer = new ArrayList<>();
            for (String word : words) {
                for (char c = 'a'; c <= 'c'; c++) {
                    if (word.isEmpty() || word.charAt(word.length() - 1) != c)
                        longer.add(word + c);
                }
            }
            words = longer;
        }
        return k <= words.size() ? words.get(k - 1) : "";
    }

    // arr: 4..9 of 1..20
    static int sumAboveMedianRank(int arr[]) {
        List<Integer> list = new ArrayList<>();
        for (int v : arr)
            list.add(v);
        Collections.sort(list);
        int sum = 0;
        for (int i = (list.size() + 1) / 2; i < list.size(); i++)
            sum += list.get(i);
        return sum;
    }

    // arr: 4..9 of 1..9
    static int[] ranksOfElements(int arr[]) {
        int sorted[] = arr.clone();
        Arrays.sort(sorted);
        Map<Integer, Integer> rank = new HashMap<>();
        for (int v : sorted)
            if (!rank.containsKey(v))
                rank.put(v, rank.size() + 1);
        int result[] = new int[arr.length];
        for (int i = 0; i < arr.length; i++)
            result[i] = rank.get(arr[i]);
        return result;
    }

    // votes: 3..7 of ["ann", "bob", "cyd"]
    static String winnerOfElection(String votes[]) {
        TreeMap<String, Integer> tally = new TreeMap<>();
        for (int i = 0; i < votes.length; i++) {
            if (tally.containsKey(votes[i]))
                tally.put(votes[i], tally.get(votes[i]) + 1);
            else
                tally.put(votes[i], 1);
        }
        String winner = "";
        int most = 0;
        for (String name : tally.keySet()) {
            if (tally.get(name) > most) {
                most = tally.get(name);
                winner = name;
            }
        }
        return winner;
    }

    // text: 5..14 of "abc"; k: 1..3
    static int longestWithFewLetters(String text, int k) {
        HashMap<Character, Integer> window = new HashMap<>();
        int left = 0, best = 0;
        for (int right = 0; right < text.length(); right++) {
            char c = text.charAt(right);
            window.put(c, window.getOrDefault(c, 0) + 1);
            while (window.size() > k) {
                char d = text.charAt(left++);
                window.put(d, window.get(d) - 1);
                if (window.get(d) == 0)
                    window.remove(d);
            }
            best = Math.max(best, right - left + 1);
        }
        return best;
    }

    // s: 2..6 of "abc"
    static int distinctSubstrings(String s) {
        Set<String> all = new HashSet<>();
        for (int i = 0; i < s.length(); i++) {
            for (int j = i + 1; j <= s.length(); j++)
                all.add(s.substring(i, j));
        }
        return all.size();
    }

    // from: 3..6 of 0..5; to: 6 of 0..5
    static int mostConnectedNode(int from[], int to[]) {
        Map<Integer, Set<Integer>> neighbours = new HashMap<>();
        for (int i = 0; i < from.length; i++) {
            if (!neighbours.containsKey(from[i]))
                neighbours.put(from[i], new HashSet<>());
            neighbours.get(from[i]).add(to[i]);
        }
        int best = -1, most = 0;
        for (int node = 0; node <= 5; node++) {
            if (neighbours.containsKey(node) && neighbours.get(node).size() > most) {
                most = neighbours.get(node).size();
                best = node;
            }
        }
        return best;
    }

    // n: 6; edges: 4..7 x 2 of 0..5; start: 0..5
    static int reachableFrom(int n, int edges[][], int start) {
        List<List<Integer>> graph = new ArrayList<>();
        for (int i = 0; i < n; i++)
            graph.add(new ArrayList<>());
        for (int[] e : edges)
            graph.get(e[0]).add(e[1]);
        boolean visited[] = new boolean[n];
        Stack<Integer> stack = new Stack<>();
        stack.push(start);
        int count = 0;
        while (!stack.isEmpty()) {
            int node = stack.pop();
            if (visited[node])
                continue;
            visited[node] = true;
            count++;
            for (int next : graph.get(node))
                stack.push(next);
        }
        return count;
    }

    // n: 6; edges: 6..9 x 2 of 0..5; goal: 0..5
    static int fewestEdgesTo(int n, int edges[][], int goal) {
        int dist[] = new int[n];
        Arrays.fill(dist, -1);
        dist[0] = 0;
        Queue<Integer> queue = new LinkedList<>();
        queue.offer(0);
        while (!queue.isEmpty()) {
            int u = queue.poll();
            for (int[] e : edges) {
                if (e[0] == u && dist[e[1]] < 0) {
                    dist[e[1]] = dist[u] + 1;
                    queue.offer(e[1]);
                }
            }
        }
        return dist[goal];
    }

    // arr: 5..9 of 1..15; limit: 3..10
    static int sumOfDistinctBelow(int arr[], int limit) {
        TreeSet<Integer> set = new TreeSet<>();
        for (int v : arr)
            if (v < limit)
                set.add(v);
        int sum = 0;
        for (int v : set)
            sum += v;
        return sum;
    }

    // arr: 4..8 of 1..9
    static String joinedDescending(int arr[]) {
        List<Integer> list = new ArrayList<>();
        for (int i = 0; i < arr.length; i++)
            list.add(arr[i]);
        Collections.sort(list, Collections.reverseOrder());
        String text = "";
        for (int i = 0; i < list.size(); i++) {
            text += list.get(i);
            if (i + 1 < list.size())
                text += "-";
        }
        return text;
    }

    // keys: 4..7 of 1..99; buckets: 3..7
    static int longestBucket(int keys[], int buckets) {
        List<List<Integer>> table = new ArrayList<>();
        for (int b = 0; b < buckets; b++)
            table.add(new ArrayList<Integer>());
        int longest = 0;
        for (int key : keys) {
            int index = key % buckets;
            table.get(index).add(key);
            longest = Math.max(longest, table.get(index).size());
        }
        return longest;
    }

    // pages: 5..10 of 1..5; capacity: 2..4
    static int pageFaultsFirstInFirstOut(int pages[], int capacity) {
        Queue<Integer> order = new LinkedList<>();
        HashSet<Integer> memory = new HashSet<>();
        int faults = 0;
        for (int page : pages) {
            if (memory.contains(page))
                continue;
            faults++;
            if (memory.size() == capacity) {
                int oldest = order.poll();
                memory.remove(oldest);
            }
            memory.add(page);
            order.add(page);
        }
        return faults;
    }

    // arr: 4..9 of 1..6
    static double averageGapOfRepeats(int arr[]) {
        Map<Integer, Integer> last = new HashMap<>();
        int gaps = 0;
        int total = 0;
        for (int i = 0; i < arr.length; i++) {
            Integer before = last.getOrDefault(arr[i], -1);
            if (before >= 0) {
                gaps++;
                total += i - before;
            }
            last.put(arr[i], i);
        }
        return gaps == 0 ? 0 : (double) total / gaps;
    }

    // a: 2..5 of 1..4; b: 5..8 of 1..4
    static boolean isContainedWithCounts(int a[], int b[]) {
        Map<Integer, Integer> counts = new HashMap<>();
        for (int i = 0; i < b.length; i++)
            counts.put(b[i], counts.getOrDefault(b[i], 0) + 1);
        for (int i = 0; i < a.length; i++) {
            int left = counts.getOrDefault(a[i], 0);
            if (left == 0)
                return false;
            counts.put(a[i], left - 1);
        }
        return true;
    }

    // nums: 4..8 of 1..6
    static int tripletsWithSumDivisible(int nums[]) {
        ArrayList<Integer> rests = new ArrayList<>();
        for (int v : nums)
            rests.add(v % 3);
        int count = 0;
        for (int i = 0; i < rests.size(); i++)
            for (int j = i + 1; j < rests.size(); j++)
                for (int k = j + 1; k < rests.size(); k++)
                    if ((rests.get(i) + rests.get(j) + rests.get(k)) % 3 == 0)
                        count++;
        return count;
    }

    // n: 2..5000
    static int sumOfDistinctPrimeFactors(int n) {
        Set<Integer> factors = new HashSet<>();
        for (int p = 2; p * p <= n; p++) {
            while (n % p == 0) {
                factors.add(p);
                n /= p;
            }
        }
        if (n > 1)
            factors.add(n);
        int sum = 0;
        for (int f : factors)
            sum += f;
        return sum;
    }

    // s: 4..12 of "abc"
    static int mostFrequentCount(String s) {
        Map<Character, Integer> map = new HashMap<>();
        int max = Integer.MIN_VALUE;
        for (char c : s.toCharArray()) {
            int now = map.containsKey(c) ? map.get(c) + 1 : 1;
            map.put(c, now);
            max = Math.max(max, now);
        }
        return max;
    }

    // n: 3..300; d: 7 | 3 | 13 | 6 | 11
    static int lengthOfDecimalCycle(int n, int d) {
        Map<Integer, Integer> firstAt = new HashMap<>();
        int rest = n % d;
        int position = 0;
        while (rest != 0 && !firstAt.containsKey(rest)) {
            firstAt.put(rest, position++);
            rest = rest * 10 % d;
        }
        return rest == 0 ? 0 : position - firstAt.get(rest);
    }

    // items: 4..8 of 1..50; limit: 20..80
    static int cheapestItemsWithin(int items[], int limit) {
        PriorityQueue<Integer> cheapest = new PriorityQueue<Integer>();
        for (int price : items)
            cheapest.offer(price);
        int bought = 0;
        while (!cheapest.isEmpty() && cheapest.peek() <= limit) {
            limit -= cheapest.poll();
            bought++;
        }
        return bought;
    }

    // stones: 2..7 of 1..20
    static int lastStoneWeight(int stones[]) {
        PriorityQueue<Integer> heap = new PriorityQueue<>(Collections.reverseOrder());
        for (int i = 0; i < stones.length; i++)
            heap.add(stones[i]);
        while (heap.size() > 1) {
            int y = heap.poll();
            int x = heap.poll();
            if (y > x)
                heap.add(y - x);
        }
        return heap.isEmpty() ? 0 : heap.peek();
    }

    // path: "/a/./b" | "/a/../c" | "/" | "/x/y/z/.." | "/../.." | "/one/two" | "/a//b" | "/p/q/../../r" | "/h/." | "/k/l/../m/n"
    static String simplifiedPath(String path) {
        Stack<String> folders = new Stack<>();
        for (String part : path.split("/")) {
            if (part.equals("..")) {
                if (!folders.isEmpty())
                    folders.pop();
            } else if (part.length() > 0 && !part.equals(".")) {
                folders.push(part);
            }
        }
        String result = "";
        for (int i = 0; i < folders.size(); i++)
            result += "/" + folders.get(i);
        return result.isEmpty() ? "/" : result;
    }

    // order: 3..6 of ["pie", "tea", "bun"]; names: ["pie", "tea", "bun"]; prices: 3 of 1.0..5.0
    static double billOf(String order[], String names[], double prices[]) {
        Map<String, Double> menu = new HashMap<>();
        for (int i = 0; i < names.length; i++)
            menu.put(names[i], prices[i]);
        double total = 0;
        for (String item : order)
            if (menu.containsKey(item))
                total += menu.get(item);
        return total;
    }

    // digits: 1..3 of "2345"
    static int keypadCombinations(String digits) {
        Map<Character, String> keys = new HashMap<>();
        keys.put('2', "abc");
        keys.put('3', "def");
        keys.put('4', "gh");
        keys.put('5', "ijkl");
        int ways = 1;
        for (int i = 0; i < digits.length(); i++)
            ways *= keys.get(digits.charAt(i)).length();
        return ways;
    }

    // s: 3..8 of "ab "
    static int lettersMinusTwiceBlanks(String s) {
        ArrayList<Character> letters = new ArrayList<>();
        int blanks = 0;
        for (int i = 0; i < s.length(); i++) {
            if (s.charAt(i) != ' ')
                letters.add(s.charAt(i));
            else
                blanks++;
        }
        return letters.size() - 2 * blanks;
    }

    // numbers: 3..7 of 10..99
    static int countWithRepeatedDigitSum(int numbers[]) {
        HashSet<Integer> sums = new HashSet<>();
        int repeated = 0;
        for (int number : numbers) {
            int sum = number / 10 + number % 10;
            if (sums.contains(sum))
                repeated++;
            else
                sums.add(sum);
        }
        return repeated;
    }
}
