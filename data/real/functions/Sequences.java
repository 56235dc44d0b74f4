import java.util.*;

class Sequences {
    // arr: 3..9 of -50..50; n: arr.length
    static int secondSmallest(int arr[], int n) {
        int first = Integer.MAX_VALUE, second = Integer.MAX_VALUE;
        for (int i = 0; i < n; i++) {
            if (arr[i] < first) {
                second = first;
                first = arr[i];
            } else if (arr[i] < second && arr[i] != first) {
                second = arr[i];
            }
        }
        return second;
    }

    // temperatures: 3..10 of -15..35
    static double meanWithoutExtremes(int temperatures[]) {
        int min = Integer.MAX_VALUE;
        int max = Integer.MIN_VALUE;
        int sum = 0;
        for (int t : temperatures) {
            min = Math.min(min, t);
            max = Math.max(max, t);
            sum += t;
        }
        return (double) (sum - min - max) / (temperatures.length - 2);
    }

    // a: 4..9 of -30..30; k: 0..12
    static int[] shiftedRight(int[] a, int k) {
        int n = a.length;
        int result[] = new int[n];
        for (int i = 0; i < n; i++)
            result[(i + k) % n] = a[i];
        return result;
    }

    // arr: 5..10 of 0..4
    static int[] zerosToTheEnd(int arr[]) {
        int write = 0;
        for (int read = 0; read < arr.length; read++) {
            if (arr[read] != 0) {
                int t = arr[write];
                arr[write] = arr[read];
                arr[read] = t;
                write++;
            }
        }
        return arr;
    }

    // heights: 3..12 of 1..20
    static int visibleFromTheLeft(int heights[]) {
        int visible = 0;
        int tallest = 0;
        for (int i = 0; i < heights.length; i++) {
            if (heights[i] > tallest) {
                visible++;
                tallest = heights[i];
            }
        }
        return visible;
    }

    // a: sorted 3..7 of 1..40; b: sorted 3..7 of 1..40
    static int[] mergedInOrder(int a[], int b[]) {
        int merged[] = new int[a.length + b.length];
        int i = 0, j = 0, k = 0;
        while (i < a.length && j < b.length)
            merged[k++] = a[i] <= b[j] ? a[i++] : b[j++];
        while (i < a.length)
            merged[k++] = a[i++];
        while (j < b.length)
            merged[k++] = b[j++];
        return merged;
    }

    // arr: sorted distinct 5..12 of 1..40; key: 1..40
    static int probesOfBinarySearch(int[] arr, int key) {
        int low = 0;
        int high = arr.length - 1;
        int probes = 0;
        while (low <= high) {
            int mid = (low + high) / 2;
            probes++;
            if (arr[mid] == key)
                return probes;
            if (arr[mid] < key)
                low = mid + 1;
            else
                high = mid - 1;
        }
        return -probes;
    }

    // arr: sorted 4..12 of 1..9; x: 1..9
    static int insertionPoint(int arr[], int x) {
        int lo = 0, hi = arr.length;
        while (lo < hi) {
            int mid = (lo + hi) >>> 1;
            if (arr[mid] < x)
                lo = mid + 1;
            else
                hi = mid;
        }
        return lo;
    }

    // arr: 5..9 of -20..20; n: arr.length
    static int largestProductOfTwo(int arr[], int n) {
        Arrays.sort(arr);
        int negative = arr[0] * arr[1];
        int positive = arr[n - 1] * arr[n - 2];
        return Math.max(negative, positive);
    }

    // arr: 4..9 of 1..60; n: arr.length
    static int smallestDifference(int arr[], int n) {
        Arrays.sort(arr);
        int best = Integer.MAX_VALUE;
        for (int i = 1; i < n; i++)
            best = Math.min(best, arr[i] - arr[i - 1]);
        return best;
    }

    // prices: 4..10 of 1..60
    static int bestSingleTrade(int prices[]) {
        int cheapest = prices[0];
        int profit = 0;
        for (int day = 1; day < prices.length; day++) {
            profit = Math.max(profit, prices[day] - cheapest);
            cheapest = Math.min(cheapest, prices[day]);
        }
        return profit;
    }

    // arr: 5..10 of -9..9; k: 2..4
    static double highestMovingAverage(int arr[], int k) {
        int window = 0;
        for (int i = 0; i < k; i++)
            window += arr[i];
        int best = window;
        for (int i = k; i < arr.length; i++) {
            window += arr[i] - arr[i - k];
            if (window > best)
                best = window;
        }
        return (double) best / k;
    }

    // arr: 6..10 of 1..9; target: 5..20
    static int shortestRunReaching(int arr[], int target) {
        int best = Integer.MAX_VALUE;
        int start = 0;
        int sum = 0;
        for (int end = 0; end < arr.length; end++) {
            sum += arr[end];
            while (sum >= target) {
                best = Math.min(best, end - start + 1);
                sum -= arr[start++];
            }
        }
        return best == Integer.MAX_VALUE ? 0 : best;
    }

    // arr: 3..9 of -9..9
    static int equilibriumPosition(int arr[]) {
        int total = 0;
        for (int v : arr)
            total += v;
        int left = 0;
        for (int i = 0; i < arr.length; i++) {
            if (left == total - left - arr[i])
                return i;
            left += arr[i];
        }
        return -1;
    }

    // arr: 4..12 of 1..30; n: arr.length
    static int longestClimb(int arr[], int n) {
        int longest = 1;
        int current = 1;
        for (int i = 1; i < n; i++) {
            if (arr[i] > arr[i - 1])
                current++;
            else
                current = 1;
            longest = Math.max(longest, current);
        }
        return longest;
    }

    // arr: 4..10 of 1..20
    static int countLocalPeaks(int[] arr) {
        int peaks = 0;
        for (int i = 1; i + 1 < arr.length; i++) {
            if (arr[i] > arr[i - 1] && arr[i] > arr[i + 1]) {
                peaks++;
            }
        }
        return peaks;
    }

    // arr: 4..8 of -40..40; n: arr.length
    static int inversions(int arr[], int n) {
        int count = 0;
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n; j++)
                if (arr[i] > arr[j])
                    count++;
        return count;
    }

    // arr: 4..9 of 1..50; n: arr.length
    static int swapsOfBubbleSort(int arr[], int n) {
        int swaps = 0;
        boolean changed = true;
        while (changed) {
            changed = false;
            for (int i = 0; i + 1 < n; i++) {
                if (arr[i] > arr[i + 1]) {
                    int temp = arr[i];
                    arr[i] = arr[i + 1];
                    arr[i + 1] = temp;
                    swaps++;
                    changed = true;
                }
            }
        }
        return swaps;
    }

    // arr: 4..9 of 1..99; rounds: 1..3
    static int[] afterSelectionRounds(int arr[], int rounds) {
        int n = arr.length;
        for (int i = 0; i < rounds; i++) {
            int min = i;
            for (int j = i + 1; j < n; j++)
                if (arr[j] < arr[min])
                    min = j;
            int t = arr[min];
            arr[min] = arr[i];
            arr[i] = t;
        }
        return arr;
    }

    // arr: 4..9 of -30..30
    static int[] sortedByInsertion(int arr[]) {
        for (int i = 1; i < arr.length; i++) {
            int key = arr[i];
            int j = i - 1;
            while (j >= 0 && arr[j] > key) {
                arr[j + 1] = arr[j];
                j--;
            }
            arr[j + 1] = key;
        }
        return arr;
    }

    // arr: 5..12 of 0..9
    static int[] sortedByCounting(int[] arr) {
        int count[] = new int[10];
        for (int v : arr)
            count[v]++;
        int k = 0;
        for (int value = 0; value < count.length; value++) {
            while (count[value]-- > 0)
                arr[k++] = value;
        }
        return arr;
    }

    // arr: 5..10 of 1..30; pivot: 5..25
    static int[] partitionAround(int arr[], int pivot) {
        int result[] = new int[arr.length];
        int front = 0;
        int back = arr.length - 1;
        for (int i = 0; i < arr.length; i++) {
            if (arr[i] < pivot)
                result[front++] = arr[i];
            else
                result[back--] = arr[i];
        }
        return result;
    }

    // arr: 4..8 of 1..9
    static int[] productsOfOthers(int arr[]) {
        int n = arr.length;
        int products[] = new int[n];
        Arrays.fill(products, 1);
        int left = 1;
        for (int i = 0; i < n; i++) {
            products[i] *= left;
            left *= arr[i];
        }
        int right = 1;
        for (int i = n - 1; i >= 0; i--) {
            products[i] *= right;
            right *= arr[i];
        }
        return products;
    }

    // arr: 4..9 of -10..10
    static int[] runningTotals(int[] arr) {
        int totals[] = new int[arr.length];
        int sum = 0;
        for (int i = 0; i < arr.length; i++) {
            sum += arr[i];
            totals[i] = sum;
        }
        return totals;
    }

    // arr: 5..9 of 1..3 | [2, 2, 2, 1] | [1, 3, 3, 3, 3, 2]
    static int majorityByVoting(int arr[]) {
        int candidate = 0;
        int votes = 0;
        for (int v : arr) {
            if (votes == 0)
                candidate = v;
            votes += v == candidate ? 1 : -1;
        }
        int occurrences = 0;
        for (int v : arr)
            if (v == candidate)
                occurrences++;
        return occurrences > arr.length / 2 ? candidate : -1;
    }

    // arr: 5..9 of -10..15; n: arr.length
    static int leaderCount(int arr[], int n) {
        int leaders = 0;
        int max = Integer.MIN_VALUE;
        for (int i = n - 1; i >= 0; i--) {
            if (arr[i] >= max) {
                leaders++;
                max = arr[i];
            }
        }
        return leaders;
    }

    // heights: 5..10 of 0..8
    static int rainBetweenWalls(int heights[]) {
        int left = 0, right = heights.length - 1;
        int leftMax = 0, rightMax = 0, water = 0;
        while (left < right) {
            if (heights[left] < heights[right]) {
                leftMax = Math.max(leftMax, heights[left]);
                water += leftMax - heights[left++];
            } else {
                rightMax = Math.max(rightMax, heights[right]);
                water += rightMax - heights[right--];
            }
        }
        return water;
    }

    // heights: 4..9 of 1..12
    static int widestContainer(int[] heights) {
        int i = 0;
        int j = heights.length - 1;
        int best = 0;
        while (i < j) {
            int area = (j - i) * Math.min(heights[i], heights[j]);
            best = Math.max(best, area);
            if (heights[i] < heights[j])
                i++;
            else
                j--;
        }
        return best;
    }

    // arr: sorted 6..10 of -20..20; target: -20..20
    static int pairsWithSumInSorted(int arr[], int target) {
        int i = 0, j = arr.length - 1;
        int closest = Integer.MAX_VALUE;
        int bestSum = 0;
        while (i < j) {
            int sum = arr[i] + arr[j];
            if (Math.abs(sum - target) < closest) {
                closest = Math.abs(sum - target);
                bestSum = sum;
            }
            if (sum < target)
                i++;
            else
                j--;
        }
        return bestSum;
    }

    // arr: sorted 5..10 of 1..6
    static int lengthWithoutRepeats(int arr[]) {
        int kept = 1;
        for (int i = 1; i < arr.length; i++) {
            if (arr[i] != arr[kept - 1]) {
                arr[kept] = arr[i];
                kept++;
            }
        }
        return kept;
    }

    // marks: 4..9 of 35..100; grade: 50 | 60 | 75
    static double shareAtLeast(int marks[], int grade) {
        int reached = 0;
        for (int m : marks)
            if (m >= grade)
                reached++;
        return 100.0 * reached / marks.length;
    }

    // values: 3..8 of -5.0..20.0
    static double standardDeviation(double values[]) {
        double mean = 0;
        for (double v : values)
            mean += v;
        mean /= values.length;
        double squares = 0;
        for (int i = 0; i < values.length; i++)
            squares += (values[i] - mean) * (values[i] - mean);
        return Math.sqrt(squares / values.length);
    }

    // values: 3..9 of 0.0..50.0
    static double medianOf(double[] values) {
        Arrays.sort(values);
        int n = values.length;
        if (n % 2 == 1)
            return values[n / 2];
        return (values[n / 2 - 1] + values[n / 2]) / 2.0;
    }

    // x: 4..6 of 0.0..9.0; y: 6 of 0.0..9.0
    static double slopeOfBestLine(double x[], double y[]) {
        int n = x.length;
        double sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (int i = 0; i < n; i++) {
            sx += x[i];
            sy += y[i];
            sxx += x[i] * x[i];
            sxy += x[i] * y[i];
        }
        return (n * sxy - sx * sy) / (n * sxx - sx * sx);
    }

    // a: 3..6 of -9..9; b: 6 of -9..9
    static long dotProduct(int a[], int b[]) {
        long sum = 0;
        for (int i = 0; i < Math.min(a.length, b.length); i++)
            sum += (long) a[i] * b[i];
        return sum;
    }

    // a: 3..5 of -4..4; x: -3..3
    static int polynomialAt(int a[], int x) {
        int value = 0;
        for (int i = a.length - 1; i >= 0; i--)
            value = value * x + a[i];
        return value;
    }

    // jumps: 4..9 of 0..3
    static boolean reachesTheEnd(int jumps[]) {
        int reach = 0;
        for (int i = 0; i < jumps.length; i++) {
            if (i > reach)
                return false;
            reach = Math.max(reach, i + jumps[i]);
        }
        return true;
    }

    // gas: 4 of 1..6; cost: 4 of 1..5
    static int startOfRoundTrip(int gas[], int cost[]) {
        int total = 0;
        int tank = 0;
        int start = 0;
        for (int i = 0; i < gas.length; i++) {
            int gain = gas[i] - cost[i];
            total += gain;
            tank += gain;
            if (tank < 0) {
                start = i + 1;
                tank = 0;
            }
        }
        return total < 0 ? -1 : start;
    }

    // weights: 3..8 of 1..9; capacity: 9..14
    static int boxesNeeded(int weights[], int capacity) {
        int boxes = 1;
        int load = 0;
        for (int i = 0; i < weights.length; i++) {
            if (load + weights[i] > capacity) {
                boxes++;
                load = 0;
            }
            load += weights[i];
        }
        return boxes;
    }

    // n: 3..20; k: 2..5
    static int lastInTheCircle(int n, int k) {
        int survivor = 0;
        for (int size = 2; size <= n; size++)
            survivor = (survivor + k) % size;
        return survivor + 1;
    }

    // arr: 4..9 of 0..1
    static int longestBalancedStretch(int arr[]) {
        int best = 0;
        for (int i = 0; i < arr.length; i++) {
            int balance = 0;
            for (int j = i; j < arr.length; j++) {
                balance += arr[j] == 1 ? 1 : -1;
                if (balance == 0)
                    best = Math.max(best, j - i + 1);
            }
        }
        return best;
    }

    // arr: distinct 4..8 of 1..9
    static int missingSmallest(int arr[]) {
        boolean seen[] = new boolean[arr.length + 2];
        for (int v : arr) {
            if (v > 0 && v < seen.length)
                seen[v] = true;
        }
        int candidate = 1;
        while (candidate < seen.length && seen[candidate])
            candidate++;
        return candidate;
    }

    // arr: 6..9 of 1..40; k: 1..5
    static int kthLargestByQueue(int arr[], int k) {
        PriorityQueue<Integer> queue = new PriorityQueue<>();
        for (int v : arr) {
            queue.add(v);
            if (queue.size() > k)
                queue.poll();
        }
        return queue.peek();
    }

    // arr: 4..9 of 1..30
    static int[] nextGreaterElements(int arr[]) {
        int n = arr.length;
        int next[] = new int[n];
        Stack<Integer> stack = new Stack<>();
        for (int i = n - 1; i >= 0; i--) {
            while (!stack.isEmpty() && stack.peek() <= arr[i])
                stack.pop();
            next[i] = stack.isEmpty() ? -1 : stack.peek();
            stack.push(arr[i]);
        }
        return next;
    }

    // temps: 4..9 of 10..30
    static int longestWaitForWarmth(int temps[]) {
        int longest = 0;
        Stack<Integer> days = new Stack<>();
        for (int d = 0; d < temps.length; d++) {
            while (!days.empty() && temps[days.peek()] < temps[d])
                longest = Math.max(longest, d - days.pop());
            days.push(d);
        }
        return longest;
    }

    // start: sorted 5 of 1..20; end: sorted 5 of 5..30
    static int platformsAtOnce(int start[], int end[]) {
        int i = 0, j = 0;
        int busy = 0, most = 0;
        while (i < start.length) {
            if (start[i] <= end[j]) {
                busy++;
                i++;
                most = Math.max(most, busy);
            } else {
                busy--;
                j++;
            }
        }
        return most;
    }

    // data: 3..8 of 0..5000000000
    static long spreadOfLongs(long data[]) {
        long max = Long.MIN_VALUE;
        long min = Long.MAX_VALUE;
        for (long v : data) {
            if (v > max)
                max = v;
            if (v < min)
                min = v;
        }
        return max - min;
    }

    // arr: 5..10 of 1..9
    static boolean canSplitEvenly(int arr[]) {
        int total = 0;
        for (int i = 0; i < arr.length; i++)
            total += arr[i];
        int prefix = 0;
        for (int i = 0; i < arr.length - 1; i++) {
            prefix += arr[i];
            if (2 * prefix == total)
                return true;
        }
        return false;
    }

    // arr: 3..8 of 1..9
    static int[] mirrored(int arr[]) {
        int n = arr.length;
        for (int i = 0; i < n / 2; i++) {
            int t = arr[i];
            arr[i] = arr[n - 1 - i];
            arr[n - 1 - i] = t;
        }
        return arr;
    }

    // arr: 4..9 of 1..20 | [3, 8, 2, 9, 4] | 3 of 1..20
    static boolean isZigzag(int arr[]) {
        for (int i = 2; i < arr.length; i++) {
            int before = Integer.signum(arr[i - 1] - arr[i - 2]);
            int after = Integer.signum(arr[i] - arr[i - 1]);
            if (before * after >= 0)
                return false;
        }
        return true;
    }

    // arr: 4..10 of -9..9
    static int maxSumOfAdjacentFree(int arr[]) {
        int take = 0;
        int skip = 0;
        for (int v : arr) {
            int best = Math.max(take, skip);
            take = skip + v;
            skip = best;
        }
        return Math.max(take, skip);
    }

    // arr: 4..8 of -6..6
    static int largestStretchProduct(int arr[]) {
        int best = arr[0];
        int high = arr[0];
        int low = arr[0];
        for (int i = 1; i < arr.length; i++) {
            int a = high * arr[i];
            int b = low * arr[i];
            high = Math.max(arr[i], Math.max(a, b));
            low = Math.min(arr[i], Math.min(a, b));
            best = Math.max(best, high);
        }
        return best;
    }
}
