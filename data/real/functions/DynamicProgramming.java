import java.util.*;

class DynamicProgramming {
    // n: 1..45; most: 1..4
    static long waysToClimb(int n, int most) {
        long ways[] = new long[n + 1];
        ways[0] = 1;
        for (int i = 1; i <= n; i++) {
            for (int step = 1; step <= most && step <= i; step++)
                ways[i] += ways[i - step];
        }
        return ways[n];
    }

    // coins: sorted distinct 2..4 of 1..12; amount: 5..40
    static int fewestCoins(int coins[], int amount) {
        int dp[] = new int[amount + 1];
        Arrays.fill(dp, Integer.MAX_VALUE);
        dp[0] = 0;
        for (int a = 1; a <= amount; a++) {
            for (int c : coins) {
                if (c <= a && dp[a - c] != Integer.MAX_VALUE)
                    dp[a] = Math.min(dp[a], dp[a - c] + 1);
            }
        }
        return dp[amount] == Integer.MAX_VALUE ? -1 : dp[amount];
    }

    // coins: distinct 2..4 of 1..9; total: 8..30
    static long waysToPay(int coins[], int total) {
        long table[] = new long[total + 1];
        table[0] = 1;
        for (int i = 0; i < coins.length; i++)
            for (int sum = coins[i]; sum <= total; sum++)
                table[sum] += table[sum - coins[i]];
        return table[total];
    }

    // weight: 4 of 1..8; value: 4 of 5..30; capacity: 5..18
    static int knapsackValue(int weight[], int value[], int capacity) {
        int n = weight.length;
        int best[][] = new int[n + 1][capacity + 1];
        for (int i = 1; i <= n; i++) {
            for (int w = 0; w <= capacity; w++) {
                best[i][w] = best[i - 1][w];
                if (weight[i - 1] <= w)
                    best[i][w] = Math.max(best[i][w], value[i - 1] + best[i - 1][w - weight[i - 1]]);
            }
        }
        return best[n][capacity];
    }

    // price: 4..8 of 1..20; n: 1..price.length
    static int bestRodPrice(int price[], int n) {
        int best[] = new int[n + 1];
        for (int length = 1; length <= n; length++) {
            int max = Integer.MIN_VALUE;
            for (int cut = 1; cut <= length; cut++)
                max = Math.max(max, price[cut - 1] + best[length - cut]);
            best[length] = max;
        }
        return best[n];
    }

    // x: 3..8 of "abcd"; y: 3..8 of "abcd"
    static int commonSubsequenceLength(String x, String y) {
        int m = x.length();
        int n = y.length();
        int dp[][] = new int[m + 1][n + 1];
        for (int i = 1; i <= m; i++) {
            for (int j = 1; j <= n; j++) {
                if (x.charAt(i - 1) == y.charAt(j - 1))
                    dp[i][j] = dp[i - 1][j - 1] + 1;
                else
                    dp[i][j] = Math.max(dp[i - 1][j], dp[i][j - 1]);
            }
        }
        return dp[m][n];
    }

    // x: 4..9 of "abc"; y: 4..9 of "abc"
    static String longestSharedPiece(String x, String y) {
        int dp[][] = new int[x.length() + 1][y.length() + 1];
        int length = 0;
        int end = 0;
        for (int i = 1; i <= x.length(); i++) {
            for (int j = 1; j <= y.length(); j++) {
                if (x.charAt(i - 1) != y.charAt(j - 1))
                    continue;
                dp[i][j] = dp[i - 1][j - 1] + 1;
                if (dp[i][j] > length) {
                    length = dp[i][j];
                    end = i;
                }
            }
        }
        return x.substring(end - length, end);
    }

    // a: 2..7 of "abc"; b: 2..7 of "abc"
    static int editDistanceInTwoRows(String a, String b) {
        int previous[] = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++)
            previous[j] = j;
        for (int i = 1; i <= a.length(); i++) {
            int current[] = new int[b.length() + 1];
            current[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int change = a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1;
                current[j] = Math.min(previous[j - 1] + change, Math.min(previous[j], current[j - 1]) + 1);
            }
            previous = current;
        }
        return previous[b.length()];
    }

    // arr: 4..10 of 1..30
    static int longestRisingSubsequence(int arr[]) {
        int n = arr.length;
        int lis[] = new int[n];
        int best = 0;
        for (int i = 0; i < n; i++) {
            lis[i] = 1;
            for (int j = 0; j < i; j++) {
                if (arr[j] < arr[i] && lis[j] + 1 > lis[i])
                    lis[i] = lis[j] + 1;
            }
            best = Math.max(best, lis[i]);
        }
        return best;
    }

    // arr: 4..9 of 1..20
    static int heaviestRisingSubsequence(int arr[]) {
        int sum[] = arr.clone();
        int best = Integer.MIN_VALUE;
        for (int i = 0; i < arr.length; i++) {
            for (int j = 0; j < i; j++)
                if (arr[i] > arr[j])
                    sum[i] = Math.max(sum[i], sum[j] + arr[i]);
            best = Math.max(best, sum[i]);
        }
        return best;
    }

    // arr: 4..7 of 1..10
    static boolean splitsIntoEqualHalves(int arr[]) {
        int total = 0;
        for (int v : arr)
            total += v;
        if (total % 2 != 0)
            return false;
        boolean possible[] = new boolean[total / 2 + 1];
        possible[0] = true;
        for (int v : arr) {
            for (int s = total / 2; s >= v; s--)
                possible[s] = possible[s] || possible[s - v];
        }
        return possible[total / 2];
    }

    // arr: 3..6 of 1..15
    static int smallestSplitDifference(int arr[]) {
        int total = 0;
        for (int i = 0; i < arr.length; i++)
            total += arr[i];
        boolean dp[][] = new boolean[arr.length + 1][total + 1];
        for (int i = 0; i <= arr.length; i++)
            dp[i][0] = true;
        for (int i = 1; i <= arr.length; i++)
            for (int s = 1; s <= total; s++)
                dp[i][s] = dp[i - 1][s] || s >= arr[i - 1] && dp[i - 1][s - arr[i - 1]];
        int best = Integer.MAX_VALUE;
        for (int s = 0; s <= total; s++)
            if (dp[arr.length][s])
                best = Math.min(best, Math.abs(total - 2 * s));
        return best;
    }

    // dims: 3..6 of 2..12
    static long matrixChainCost(int dims[]) {
        int n = dims.length - 1;
        long cost[][] = new long[n][n];
        for (int len = 2; len <= n; len++) {
            for (int i = 0; i + len - 1 < n; i++) {
                int j = i + len - 1;
                cost[i][j] = Long.MAX_VALUE;
                for (int k = i; k < j; k++)
                    cost[i][j] = Math.min(cost[i][j], cost[i][k] + cost[k + 1][j] + (long) dims[i] * dims[k + 1] * dims[j + 1]);
            }
        }
        return cost[0][n - 1];
    }

    // n: 0..25
    static long treesWithNodes(int n) {
        long catalan[] = new long[n + 2];
        catalan[0] = catalan[1] = 1;
        for (int i = 2; i <= n; i++)
            for (int left = 0; left < i; left++)
                catalan[i] += catalan[left] * catalan[i - 1 - left];
        return catalan[n];
    }

    // n: 1..12; k: 1..6
    static int partitionsIntoParts(int n, int k) {
        if (k == 0)
            return n == 0 ? 1 : 0;
        if (n < k)
            return 0;
        return partitionsIntoParts(n - 1, k - 1) + partitionsIntoParts(n - k, k);
    }

    // digits: 1..8 of "1234" | "10" | "226" | "301"
    static int waysToDecode(String digits) {
        int n = digits.length();
        int ways[] = new int[n + 1];
        ways[n] = 1;
        for (int i = n - 1; i >= 0; i--) {
            if (digits.charAt(i) == '0')
                continue;
            ways[i] = ways[i + 1];
            if (i + 1 < n && (digits.charAt(i) - '0') * 10 + digits.charAt(i + 1) - '0' <= 26)
                ways[i] += ways[i + 2];
        }
        return ways[0];
    }

    // text: "catsanddog" | "applepie" | "pieapple" | "catsandog" | "cat" | "dogsand" | "sandcats" | "anddog" | "pies" | "dogcat"; words: ["cat", "cats", "and", "sand", "dog", "apple", "pie"]
    static boolean splitsIntoWords(String text, String words[]) {
        Set<String> dictionary = new HashSet<>();
        for (String w : words)
            dictionary.add(w);
        boolean ok[] = new boolean[text.length() + 1];
        ok[0] = true;
        for (int end = 1; end <= text.length(); end++) {
            for (int start = 0; start < end && !ok[end]; start++) {
                if (ok[start] && dictionary.contains(text.substring(start, end)))
                    ok[end] = true;
            }
        }
        return ok[text.length()];
    }

    // triangle: 2..4 x 4 of 1..20
    static int heaviestTrianglePath(int triangle[][]) {
        int n = triangle.length;
        int best[] = new int[n + 1];
        for (int row = n - 1; row >= 0; row--) {
            for (int i = 0; i <= row; i++)
                best[i] = triangle[row][i] + Math.max(best[i], best[i + 1]);
        }
        return best[0];
    }

    // n: 1..60
    static int fewestSquaresSummingTo(int n) {
        int dp[] = new int[n + 1];
        for (int i = 1; i <= n; i++) {
            dp[i] = i;
            for (int r = 1; r * r <= i; r++)
                dp[i] = Math.min(dp[i], 1 + dp[i - r * r]);
        }
        return dp[n];
    }

    // n: 2..30
    static int largestProductOfParts(int n) {
        int best[] = new int[n + 1];
        best[1] = 1;
        for (int i = 2; i <= n; i++) {
            for (int first = 1; first < i; first++) {
                int rest = Math.max(i - first, best[i - first]);
                best[i] = Math.max(best[i], first * rest);
            }
        }
        return best[n];
    }

    // n: 1..60
    static int hammingNumber(int n) {
        int ugly[] = new int[n];
        ugly[0] = 1;
        int i2 = 0, i3 = 0, i5 = 0;
        for (int i = 1; i < n; i++) {
            int next = Math.min(ugly[i2] * 2, Math.min(ugly[i3] * 3, ugly[i5] * 5));
            ugly[i] = next;
            if (next == ugly[i2] * 2)
                i2++;
            if (next == ugly[i3] * 3)
                i3++;
            if (next == ugly[i5] * 5)
                i5++;
        }
        return ugly[n - 1];
    }

    // dice: 1..4; faces: 2..6; sum: 2..15
    static int waysToThrow(int dice, int faces, int sum) {
        int ways[][] = new int[dice + 1][sum + 1];
        ways[0][0] = 1;
        for (int d = 1; d <= dice; d++)
            for (int s = 1; s <= sum; s++)
                for (int face = 1; face <= faces && face <= s; face++)
                    ways[d][s] += ways[d - 1][s - face];
        return ways[dice][sum];
    }

    // n: 1..12; p: 0.1..0.9; k: 0..6
    static double chanceOfHeads(int n, double p, int k) {
        double chance[] = new double[n + 2];
        chance[0] = 1.0;
        for (int toss = 1; toss <= n; toss++) {
            for (int heads = toss; heads >= 0; heads--) {
                double hit = heads > 0 ? chance[heads - 1] * p : 0;
                chance[heads] = hit + chance[heads] * (1 - p);
            }
        }
        return k > n ? 0 : chance[k];
    }

    // cost: 2..4 x 3 of 1..20
    static int cheapestPaintedFence(int cost[][]) {
        int red = 0, green = 0, blue = 0;
        for (int i = 0; i < cost.length; i++) {
            int r = cost[i][0] + Math.min(green, blue);
            int g = cost[i][1] + Math.min(red, blue);
            int b = cost[i][2] + Math.min(red, green);
            red = r;
            green = g;
            blue = b;
        }
        return Math.min(red, Math.min(green, blue));
    }

    // floors: 2..30; eggs: 1..4
    static int eggDropTrials(int floors, int eggs) {
        int reach[] = new int[eggs + 1];
        int trials = 0;
        while (reach[eggs] < floors) {
            trials++;
            for (int e = eggs; e > 0; e--)
                reach[e] += reach[e - 1] + 1;
        }
        return trials;
    }

    // arr: 2..6 of 1..20
    static int scoreOfFirstPlayer(int arr[]) {
        int n = arr.length;
        int lead[][] = new int[n][n];
        int total = 0;
        for (int i = n - 1; i >= 0; i--) {
            total += arr[i];
            lead[i][i] = arr[i];
            for (int j = i + 1; j < n; j++)
                lead[i][j] = Math.max(arr[i] - lead[i + 1][j], arr[j] - lead[i][j - 1]);
        }
        return (total + lead[0][n - 1]) / 2;
    }

    // dist: 4 x 4 of 1..9
    static int shortestAllPairsSum(int dist[][]) {
        int n = dist.length;
        for (int k = 0; k < n; k++)
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++)
                    if (dist[i][k] + dist[k][j] < dist[i][j])
                        dist[i][j] = dist[i][k] + dist[k][j];
        int sum = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                sum += i == j ? 0 : dist[i][j];
        return sum;
    }

    // graph: 5 x 5 of [0, 0, 1, 4, 7, 9]
    static int cheapestRouteToLast(int graph[][]) {
        int n = graph.length;
        int dist[] = new int[n];
        boolean done[] = new boolean[n];
        Arrays.fill(dist, Integer.MAX_VALUE);
        dist[0] = 0;
        for (int round = 0; round < n; round++) {
            int u = -1;
            for (int v = 0; v < n; v++)
                if (!done[v] && (u == -1 || dist[v] < dist[u]))
                    u = v;
            done[u] = true;
            for (int v = 0; v < n; v++)
                if (graph[u][v] > 0 && dist[u] != Integer.MAX_VALUE)
                    dist[v] = Math.min(dist[v], dist[u] + graph[u][v]);
        }
        return dist[n - 1] == Integer.MAX_VALUE ? -1 : dist[n - 1];
    }

    // pattern: 2..5 of "ab?*"; text: 2..5 of "ab"
    static boolean wildcardMatches(String pattern, String text) {
        boolean match[][] = new boolean[pattern.length() + 1][text.length() + 1];
        match[0][0] = true;
        for (int i = 1; i <= pattern.length(); i++) {
            char p = pattern.charAt(i - 1);
            match[i][0] = p == '*' && match[i - 1][0];
            for (int j = 1; j <= text.length(); j++) {
                if (p == '*')
                    match[i][j] = match[i - 1][j] || match[i][j - 1];
                else
                    match[i][j] = match[i - 1][j - 1] && (p == '?' || p == text.charAt(j - 1));
            }
        }
        return match[pattern.length()][text.length()];
    }

    // n: 1..20; modulus: 1000..1009
    static int stringsWithoutAdjacentOnes(int n, int modulus) {
        int endZero = 1;
        int endOne = 1;
        for (int i = 1; i < n; i++) {
            int zero = (endZero + endOne) % modulus;
            endOne = endZero;
            endZero = zero;
        }
        return endZero + endOne;
    }
}
