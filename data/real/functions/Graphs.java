import java.util.*;

class Graphs {
    // n: 5; edges: 2..6 x 2 of 0..4
    static int connectedParts(int n, int edges[][]) {
        int parent[] = new int[n];
        for (int i = 0; i < n; i++)
            parent[i] = i;
        int parts = n;
        for (int e = 0; e < edges.length; e++) {
            int a = edges[e][0], b = edges[e][1];
            while (parent[a] != a)
                a = parent[a];
            while (parent[b] != b)
                b = parent[b];
            if (a != b) {
                parent[a] = b;
                parts--;
            }
        }
        return parts;
    }

    // adj: 4 x 4 of 0..1
    static boolean canBeDrawnInOneStroke(int adj[][]) {
        int odd = 0;
        for (int i = 0; i < adj.length; i++) {
            int degree = 0;
            for (int j = 0; j < adj.length; j++)
                degree += Math.max(adj[i][j], adj[j][i]);
            if (degree % 2 == 1)
                odd++;
        }
        return odd <= 2;
    }

    // n: 5; edges: 3..6 x 2 of 0..4
    static int[] topologicalOrder(int n, int edges[][]) {
        int incoming[] = new int[n];
        for (int[] e : edges)
            incoming[e[1]]++;
        Queue<Integer> ready = new LinkedList<>();
        for (int i = 0; i < n; i++)
            if (incoming[i] == 0)
                ready.add(i);
        int order[] = new int[n];
        Arrays.fill(order, -1);
        int k = 0;
        while (!ready.isEmpty()) {
            int u = ready.poll();
            order[k++] = u;
            for (int[] e : edges) {
                if (e[0] == u && --incoming[e[1]] == 0)
                    ready.add(e[1]);
            }
        }
        return order;
    }

    // n: 5; edges: 3..6 x 2 of 0..4
    static boolean canColorWithTwo(int n, int edges[][]) {
        int color[] = new int[n];
        for (int start = 0; start < n; start++) {
            if (color[start] != 0)
                continue;
            color[start] = 1;
            Stack<Integer> stack = new Stack<>();
            stack.push(start);
            while (!stack.isEmpty()) {
                int u = stack.pop();
                for (int[] e : edges) {
                    if (e[0] != u && e[1] != u)
                        continue;
                    int v = e[0] == u ? e[1] : e[0];
                    if (color[v] == color[u])
                        return false;
                    if (color[v] == 0) {
                        color[v] = -color[u];
                        stack.push(v);
                    }
                }
            }
        }
        return true;
    }

    // weight: 4 x 4 of 1..15
    static int minimumSpanningCost(int weight[][]) {
        int n = weight.length;
        int nearest[] = new int[n];
        boolean inTree[] = new boolean[n];
        Arrays.fill(nearest, Integer.MAX_VALUE);
        nearest[0] = 0;
        int cost = 0;
        for (int round = 0; round < n; round++) {
            int best = -1;
            for (int v = 0; v < n; v++)
                if (!inTree[v] && (best < 0 || nearest[v] < nearest[best]))
                    best = v;
            inTree[best] = true;
            cost += nearest[best];
            for (int v = 0; v < n; v++)
                nearest[v] = Math.min(nearest[v], Math.min(weight[best][v], weight[v][best]));
        }
        return cost;
    }

    // parents: [-1, 0, 0, 1, 1, 2] | [-1, 0, 1, 2, 3] | [-1, 0, 0, 0] | [-1, 0, 1, 1, 3, 4, 4] | [-1] | [-1, 0, 0, 2, 2, 3, 5]; node: 0..3
    static int depthOfTree(int parents[], int node) {
        int deepest = 0;
        for (int i = 0; i < parents.length; i++) {
            int depth = 0;
            int now = i;
            while (parents[now] != -1 && now != node) {
                now = parents[now];
                depth++;
            }
            deepest = Math.max(deepest, depth);
        }
        return deepest;
    }

    // tree: 3..10 of 1..40
    static boolean noChildFarAbove(int tree[]) {
        int n = tree.length;
        for (int i = 0; 2 * i + 1 < n; i++) {
            int child = 2 * i + 1;
            if (child + 1 < n && tree[child + 1] > tree[child])
                child++;
            if (tree[child] > tree[i] + 15)
                return false;
        }
        return true;
    }

    // tree: 4..10 of 1..60
    static int[] heapAfterSinkingRoot(int tree[]) {
        int i = 0;
        while (2 * i + 1 < tree.length) {
            int child = 2 * i + 1;
            if (child + 1 < tree.length && tree[child + 1] > tree[child])
                child++;
            if (tree[i] >= tree[child])
                break;
            int swap = tree[i];
            tree[i] = tree[child];
            tree[child] = swap;
            i = child;
        }
        return tree;
    }

    // keys: distinct 3..7 of 1..30; key: 1..30
    static int comparisonsInSearchTree(int keys[], int key) {
        int left[] = new int[keys.length];
        int right[] = new int[keys.length];
        Arrays.fill(left, -1);
        Arrays.fill(right, -1);
        for (int i = 1; i < keys.length; i++) {
            int at = 0;
            while (true) {
                int next = keys[i] < keys[at] ? left[at] : right[at];
                if (next < 0)
                    break;
                at = next;
            }
            if (keys[i] < keys[at])
                left[at] = i;
            else
                right[at] = i;
        }
        int comparisons = 0;
        for (int at = 0; at >= 0 && keys[at] != key; comparisons++)
            at = key < keys[at] ? left[at] : right[at];
        return comparisons;
    }

    // trust: 2..5 x 2 of 1..4; n: 4
    static int townJudge(int trust[][], int n) {
        int balance[] = new int[n + 1];
        for (int[] pair : trust) {
            balance[pair[0]]--;
            balance[pair[1]]++;
        }
        int best = 1;
        for (int i = 2; i <= n; i++)
            if (balance[i] > balance[best])
                best = i;
        return best;
    }

    // next: 5..7 of 0..4; start: 0..4
    static int lengthOfCycle(int next[], int start) {
        int slow = start;
        int fast = start;
        do {
            slow = next[slow];
            fast = next[next[fast]];
        } while (slow != fast);
        int length = 1;
        for (int node = next[slow]; node != slow; node = next[node])
            length++;
        return length;
    }

    // n: 1..9; edges: 1..6 x 2 of 0..8
    static int largestDegreeOf(int n, int edges[][]) {
        Map<Integer, Integer> degree = new HashMap<>();
        int largest = 0;
        for (int[] edge : edges) {
            for (int end : edge) {
                if (end >= n)
                    continue;
                degree.put(end, degree.getOrDefault(end, 0) + 1);
                largest = Math.max(largest, degree.get(end));
            }
        }
        return largest;
    }

    // maze: 3..4 of 4 of "...#"
    static int stepsThroughMaze(String maze[]) {
        int rows = maze.length;
        int cols = maze[0].length();
        int dist[][] = new int[rows][cols];
        Queue<Integer> queue = new LinkedList<>();
        queue.add(0);
        dist[0][0] = 1;
        int dr[] = {0, 0, 1, -1};
        int dc[] = {1, -1, 0, 0};
        while (!queue.isEmpty()) {
            int cell = queue.poll();
            for (int k = 0; k < 4; k++) {
                int r = cell / cols + dr[k];
                int c = cell % cols + dc[k];
                if (r >= 0 && c >= 0 && r < rows && c < cols && dist[r][c] == 0 && maze[r].charAt(c) == '.') {
                    dist[r][c] = dist[cell / cols][cell % cols] + 1;
                    queue.add(r * cols + c);
                }
            }
        }
        return dist[rows - 1][cols - 1] - 1;
    }
}
