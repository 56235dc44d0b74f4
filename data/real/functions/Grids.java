import java.util.*;

class Grids {
    // mat: 2..4 x 2..5 of -9..9
    static int borderSum(int mat[][]) {
        int rows = mat.length;
        int cols = mat[0].length;
        int sum = 0;
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < cols; j++)
                if (i == 0 || j == 0 || i == rows - 1 || j == cols - 1)
                    sum += mat[i][j];
        return sum;
    }

    // n: 2..5; mat: n x n of 0..9
    static int differenceOfDiagonals(int mat[][], int n) {
        int main = 0, second = 0;
        for (int i = 0; i < n; i++) {
            main += mat[i][i];
            second += mat[i][n - i - 1];
        }
        return Math.abs(main - second);
    }

    // a: 2..4 x 2..3 of 0..9
    static int[][] transposed(int[][] a) {
        int t[][] = new int[a[0].length][a.length];
        for (int i = 0; i < a.length; i++)
            for (int j = 0; j < a[i].length; j++)
                t[j][i] = a[i][j];
        return t;
    }

    // n: 2..4; square: n x n of 1..20
    static int[][] quarterTurn(int square[][], int n) {
        int turned[][] = new int[n][n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                turned[j][n - 1 - i] = square[i][j];
            }
        }
        return turned;
    }

    // a: 2..3 x 3 of -5..5; b: 3 x 2..3 of -5..5
    static int[][] matrixProduct(int a[][], int b[][]) {
        int n = a.length, m = b.length, p = b[0].length;
        int c[][] = new int[n][p];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < p; j++)
                for (int k = 0; k < m; k++)
                    c[i][j] += a[i][k] * b[k][j];
        return c;
    }

    // mat: 2..4 x 2..4 of 1..99
    static int[] spiralOrder(int mat[][]) {
        int top = 0, bottom = mat.length - 1, left = 0, right = mat[0].length - 1;
        int out[] = new int[mat.length * mat[0].length];
        int k = 0;
        while (top <= bottom && left <= right) {
            for (int j = left; j <= right; j++)
                out[k++] = mat[top][j];
            top++;
            for (int i = top; i <= bottom; i++)
                out[k++] = mat[i][right];
            right--;
            for (int j = right; j >= left && top <= bottom; j--)
                out[k++] = mat[bottom][j];
            bottom--;
            for (int i = bottom; i >= top && left <= right; i--)
                out[k++] = mat[i][left];
            left++;
        }
        return out;
    }

    // mat: 3 x 3 of 1..9 | [[2, 7, 6], [9, 5, 1], [4, 3, 8]] | [[8, 1, 6], [3, 5, 7], [4, 9, 2]]
    static boolean isMagicSquare(int[][] mat) {
        int n = mat.length;
        int wanted = n * (n * n + 1) / 2;
        int diagonal = 0, other = 0;
        for (int i = 0; i < n; i++) {
            int row = 0, column = 0;
            for (int j = 0; j < n; j++) {
                row += mat[i][j];
                column += mat[j][i];
            }
            if (row != wanted || column != wanted)
                return false;
            diagonal += mat[i][i];
            other += mat[i][n - 1 - i];
        }
        return diagonal == wanted && other == wanted;
    }

    // m: 3 x 3 of -6..6
    static int determinantOfThree(int m[][]) {
        int a = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]);
        int b = m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]);
        int c = m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
        return a - b + c;
    }

    // cells: 3..5 x 3..5 of 0..1
    static int[][] nextGeneration(int cells[][]) {
        int rows = cells.length;
        int cols = cells[0].length;
        int next[][] = new int[rows][cols];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                int alive = -cells[r][c];
                for (int i = Math.max(0, r - 1); i <= Math.min(rows - 1, r + 1); i++)
                    for (int j = Math.max(0, c - 1); j <= Math.min(cols - 1, c + 1); j++)
                        alive += cells[i][j];
                if (alive == 3 || alive == 2 && cells[r][c] == 1)
                    next[r][c] = 1;
            }
        }
        return next;
    }

    // grid: 3..5 x 3..5 of 0..1; r: 0..2; c: 0..2
    static int sizeOfIsland(int grid[][], int r, int c) {
        if (r < 0 || c < 0 || r >= grid.length || c >= grid[0].length || grid[r][c] == 0)
            return 0;
        grid[r][c] = 0;
        return 1 + sizeOfIsland(grid, r + 1, c) + sizeOfIsland(grid, r - 1, c)
                + sizeOfIsland(grid, r, c + 1) + sizeOfIsland(grid, r, c - 1);
    }

    // land: 3..5 x 3..5 of 0..1
    static int coastLength(int land[][]) {
        int coast = 0;
        for (int i = 0; i < land.length; i++) {
            for (int j = 0; j < land[0].length; j++) {
                if (land[i][j] == 0)
                    continue;
                coast += 4;
                if (i > 0 && land[i - 1][j] == 1)
                    coast -= 2;
                if (j > 0 && land[i][j - 1] == 1)
                    coast -= 2;
            }
        }
        return coast;
    }

    // cost: 2..4 x 2..4 of 1..9
    static int cheapestDescent(int cost[][]) {
        int m = cost.length;
        int n = cost[0].length;
        int dp[][] = new int[m][n];
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                int before = Integer.MAX_VALUE;
                if (i > 0)
                    before = Math.min(before, dp[i - 1][j]);
                if (j > 0)
                    before = Math.min(before, dp[i][j - 1]);
                dp[i][j] = cost[i][j] + (before == Integer.MAX_VALUE ? 0 : before);
            }
        }
        return dp[m - 1][n - 1];
    }

    // blocked: 3..5 x 3..5 of [0, 0, 0, 1]
    static long walksAroundObstacles(int blocked[][]) {
        int cols = blocked[0].length;
        long ways[] = new long[cols];
        ways[0] = 1;
        for (int[] row : blocked) {
            for (int j = 0; j < cols; j++) {
                if (row[j] == 1)
                    ways[j] = 0;
                else if (j > 0)
                    ways[j] += ways[j - 1];
            }
        }
        return ways[cols - 1];
    }

    // mat: 3..4 x 3..4 of 1..30
    static int countSaddlePoints(int mat[][]) {
        int count = 0;
        for (int i = 0; i < mat.length; i++) {
            for (int j = 0; j < mat[i].length; j++) {
                boolean saddle = true;
                for (int k = 0; k < mat[i].length && saddle; k++)
                    saddle = mat[i][k] >= mat[i][j];
                for (int k = 0; k < mat.length && saddle; k++)
                    saddle = mat[k][j] <= mat[i][j];
                if (saddle)
                    count++;
            }
        }
        return count;
    }

    // seats: 3..5 x 3..4 of 0..1
    static int fullestRow(int seats[][]) {
        int best = -1;
        int most = Integer.MIN_VALUE;
        for (int i = 0; i < seats.length; i++) {
            int taken = 0;
            for (int j = 0; j < seats[i].length; j++)
                taken += seats[i][j];
            if (taken > most) {
                most = taken;
                best = i;
            }
        }
        return best;
    }

    // mat: 3..4 x 3..5 of 0..1
    static int largestSquareOfOnes(int mat[][]) {
        int best = 0;
        int size[][] = new int[mat.length + 1][mat[0].length + 1];
        for (int i = 1; i <= mat.length; i++) {
            for (int j = 1; j <= mat[0].length; j++) {
                if (mat[i - 1][j - 1] == 1) {
                    size[i][j] = 1 + Math.min(size[i - 1][j - 1], Math.min(size[i - 1][j], size[i][j - 1]));
                    best = Math.max(best, size[i][j]);
                }
            }
        }
        return best * best;
    }

    // grid: 3 x 3..5 of 0..9; rowA: 0..1; rowB: 1..2; colA: 0..1; colB: 1..2
    static int sumInsideRectangle(int grid[][], int rowA, int colA, int rowB, int colB) {
        int prefix[][] = new int[grid.length + 1][grid[0].length + 1];
        for (int i = 0; i < grid.length; i++)
            for (int j = 0; j < grid[0].length; j++)
                prefix[i + 1][j + 1] = grid[i][j] + prefix[i][j + 1] + prefix[i + 1][j] - prefix[i][j];
        return prefix[rowB + 1][colB + 1] - prefix[rowA][colB + 1] - prefix[rowB + 1][colA] + prefix[rowA][colA];
    }

    // n: 2..4; mat: n x n of 0..2 | 2 x 2 of 5..6
    static boolean isSymmetric(int mat[][], int n) {
        for (int i = 0; i < n && i < mat.length; i++)
            for (int j = 0; j < i; j++)
                if (mat[i][j] != mat[j][i])
                    return false;
        return true;
    }

    // n: 2..7; start: 1..9
    static int[][] snakeNumbering(int n, int start) {
        int grid[][] = new int[n][n];
        int value = start;
        for (int r = 0; r < n; r++) {
            for (int c = 0; c < n; c++) {
                int column = r % 2 == 0 ? c : n - 1 - c;
                grid[r][column] = value++;
            }
        }
        return grid;
    }

    // mat: 3..4 x 3..4 of 0..4
    static int rowsWithSameSumAsColumn(int[][] mat) {
        Set<Integer> sums = new HashSet<>();
        for (int j = 0; j < mat[0].length; j++) {
            int sum = 0;
            for (int i = 0; i < mat.length; i++)
                sum += mat[i][j];
            sums.add(sum);
        }
        int count = 0;
        for (int[] row : mat) {
            int sum = 0;
            for (int v : row)
                sum += v;
            if (sums.contains(sum))
                count++;
        }
        return count;
    }

    // board: 3 of 3 of "XO."
    static char ticTacToeWinner(String board[]) {
        for (int i = 0; i < 3; i++) {
            char r = board[i].charAt(0);
            if (r != '.' && r == board[i].charAt(1) && r == board[i].charAt(2))
                return r;
            char c = board[0].charAt(i);
            if (c != '.' && c == board[1].charAt(i) && c == board[2].charAt(i))
                return c;
        }
        char m = board[1].charAt(1);
        boolean falling = board[0].charAt(0) == m && board[2].charAt(2) == m;
        boolean rising = board[0].charAt(2) == m && board[2].charAt(0) == m;
        return falling || rising ? m : '-';
    }

    // queens: 4..6 of 0..5
    static int attackingPairs(int queens[]) {
        int attacks = 0;
        for (int i = 0; i < queens.length; i++) {
            for (int j = i + 1; j < queens.length; j++) {
                boolean sameRow = queens[i] == queens[j];
                boolean sameDiagonal = Math.abs(queens[i] - queens[j]) == j - i;
                if (sameRow || sameDiagonal)
                    attacks++;
            }
        }
        return attacks;
    }

    // rows: 1..8; cols: 1..8; r: 0..7; c: 0..7
    static int knightMovesFrom(int rows, int cols, int r, int c) {
        int dr[] = {-2, -2, -1, -1, 1, 1, 2, 2};
        int dc[] = {-1, 1, -2, 2, -2, 2, -1, 1};
        int moves = 0;
        for (int k = 0; k < 8; k++) {
            int nr = r + dr[k];
            int nc = c + dc[k];
            if (nr >= 0 && nr < rows && nc >= 0 && nc < cols)
                moves++;
        }
        return moves;
    }

    // height: 3 x 4 of 0..20
    static double averageSlope(double height[][]) {
        double total = 0;
        int steps = 0;
        for (int i = 0; i < height.length; i++) {
            for (int j = 1; j < height[i].length; j++) {
                total += Math.abs(height[i][j] - height[i][j - 1]);
                steps++;
            }
        }
        return total / steps;
    }

    // image: 3..4 x 3..4 of 0..255; threshold: 60..200
    static int darkPixels(int image[][], int threshold) {
        int dark = 0;
        for (int i = 0; i < image.length; i++) {
            for (int j = 0; j < image[i].length; j++) {
                dark += image[i][j] < threshold ? 1 : 0;
            }
        }
        return dark;
    }

    // image: 3..4 x 3..4 of 0..255
    static int[][] blurred(int image[][]) {
        int h = image.length, w = image[0].length;
        int out[][] = new int[h][w];
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                int sum = 0, n = 0;
                for (int i = y - 1; i <= y + 1; i++) {
                    for (int j = x - 1; j <= x + 1; j++) {
                        if (i < 0 || j < 0 || i >= h || j >= w)
                            continue;
                        sum += image[i][j];
                        n++;
                    }
                }
                out[y][x] = (int) Math.round((double) sum / n);
            }
        }
        return out;
    }
}
