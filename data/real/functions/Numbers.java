import java.util.*;

class Numbers {
    // n: 1 | 2..200 | 200..5000
    static int sumOfProperDivisors(int n) {
        int sum = 0;
        for (int d = 1; d <= (int) Math.sqrt(n); d++) {
            if (n % d == 0) {
                if (d < n)
                    sum += d;
                int other = n / d;
                if (other != d && other != n)
                    sum += other;
            }
        }
        return sum;
    }

    // n: 28 | 6 | 1..600 | 496
    static String classifyByDivisors(int n) {
        int total = 0;
        for (int i = 1; i < n; i++)
            if (n % i == 0)
                total += i;
        if (total == n)
            return "perfect";
        return total > n ? "abundant" : "deficient";
    }

    // limit: 2..400
    static int largestPrimeBelow(int limit) {
        boolean composite[] = new boolean[limit + 1];
        int largest = -1;
        for (int p = 2; p < limit; p++) {
            if (composite[p])
                continue;
            largest = p;
            for (int q = 2 * p; q < limit; q += p)
                composite[q] = true;
        }
        return largest;
    }

    // low: 2..40; high: 41..300
    static int sumOfPrimesBetween(int low, int high) {
        boolean[] isPrime = new boolean[high + 1];
        Arrays.fill(isPrime, true);
        for (int p = 2; p * p <= high; p++) {
            if (isPrime[p]) {
                for (int m = p * p; m <= high; m += p) {
                    isPrime[m] = false;
                }
            }
        }
        int sum = 0;
        for (int i = Math.max(low, 2); i <= high; i++)
            sum += isPrime[i] ? i : 0;
        return sum;
    }

    // limit: 5..150
    static int countTwinPrimes(int limit) {
        int count = 0;
        int previous = 2;
        for (int n = 3; n <= limit; n++) {
            boolean prime = true;
            for (int d = 2; d * d <= n; d++) {
                if (n % d == 0) {
                    prime = false;
                    break;
                }
            }
            if (prime) {
                if (n - previous == 2)
                    count++;
                previous = n;
            }
        }
        return count;
    }

    // n: 2..5000
    static int[] primeFactorsWithPowers(int n) {
        int factors[] = new int[32];
        int used = 0;
        for (int p = 2; p <= n; p++) {
            while (n % p == 0) {
                factors[used++] = p;
                n /= p;
            }
        }
        return Arrays.copyOf(factors, used);
    }

    // n: 2..3000 | 997
    static int largestPrimeFactorOf(int n) {
        int best = 1;
        int d = 2;
        while (n > 1) {
            if (n % d == 0) {
                best = Math.max(best, d);
                n = n / d;
            } else {
                d++;
            }
        }
        return best;
    }

    // a: 1..500; b: 1..500
    static int leastCommonMultipleBySteps(int a, int b) {
        int bigger = Math.max(a, b);
        int smaller = Math.min(a, b);
        int multiple = bigger;
        while (multiple % smaller != 0)
            multiple += bigger;
        return multiple;
    }

    // a: 1..1000; b: 1..1000
    static int stepsOfEuclid(int a, int b) {
        int steps = 0;
        while (b != 0) {
            int rest = a % b;
            a = b;
            b = rest;
            steps++;
        }
        return steps;
    }

    // n: 1..100 | 27 | 97
    static int collatzPeak(int n) {
        long value = n;
        long peak = n;
        while (value != 1) {
            if (value % 2 == 0)
                value = value / 2;
            else
                value = 3 * value + 1;
            if (value > peak)
                peak = value;
        }
        return (int) peak;
    }

    // base: 2..50; exponent: 0..30; modulus: 2..1000
    static int powerModulo(int base, int exponent, int modulus) {
        long result = 1;
        long square = base % modulus;
        while (exponent > 0) {
            if ((exponent & 1) == 1)
                result = result * square % modulus;
            square = square * square % modulus;
            exponent >>= 1;
        }
        return (int) result;
    }

    // a: 1..60; m: 7 | 13 | 11 | 26 | 12
    static int inverseModulo(int a, int m) {
        for (int x = 1; x < m; x++) {
            if ((a % m) * x % m == 1)
                return x;
        }
        return -1;
    }

    // n: 0..19
    static long factorialByRecursion(int n) {
        if (n <= 1)
            return 1;
        return n * factorialByRecursion(n - 1);
    }

    // n: 1..30
    static int zerosBehindFactorial(int n) {
        int fives = 0;
        for (int i = 5; i <= n; i += 5) {
            int k = i;
            while (k % 5 == 0) {
                fives++;
                k /= 5;
            }
        }
        return fives;
    }

    // n: 0..60
    static long tribonacciNumber(int n) {
        if (n < 2)
            return 0;
        long a = 0, b = 0, c = 1;
        for (int i = 3; i <= n; i++) {
            long next = a + b + c;
            a = b;
            b = c;
            c = next;
        }
        return c;
    }

    // n: 1..200 | 8 | 21 | 89
    static boolean belongsToFibonacci(int n) {
        int a = 0;
        int b = 1;
        while (b < n) {
            int t = a + b;
            a = b;
            b = t;
        }
        return b == n;
    }

    // n: 0..400 | 144 | 225
    static boolean isSquareOfInteger(int n) {
        int root = (int) Math.sqrt(n);
        return root * root == n;
    }

    // n: 2..1000
    static int nearestSquare(int n) {
        int low = (int) Math.floor(Math.sqrt(n));
        int high = low + 1;
        int below = n - low * low;
        int above = high * high - n;
        return below <= above ? low * low : high * high;
    }

    // n: 1..500
    static double harmonicSum(int n) {
        double sum = 0;
        for (int i = 1; i <= n; i++)
            sum += 1.0 / i;
        return sum;
    }

    // terms: 1..40
    static double leibnizPi(int terms) {
        double pi = 0.0;
        int sign = 1;
        for (int k = 0; k < terms; k++) {
            pi += (double) sign * 4 / (2 * k + 1);
            sign = -sign;
        }
        return pi;
    }

    // x: -3.0..3.0
    static double exponentialSeries(double x) {
        double term = 1;
        double sum = 1;
        for (int n = 1; n < 25; n++) {
            term = term * x / n;
            sum += term;
        }
        return sum;
    }

    // value: 0.5..900.0
    static double squareRootByNewton(double value) {
        double guess = value;
        while (Math.abs(guess * guess - value) > 1e-9) {
            guess = (guess + value / guess) / 2;
        }
        return guess;
    }

    // n: 2..900
    static int integerCubeRoot(int n) {
        int low = 0, high = n;
        while (low < high) {
            int mid = low + (high - low + 1) / 2;
            if ((long) mid * mid * mid <= n)
                low = mid;
            else
                high = mid - 1;
        }
        return low;
    }

    // n: 0..30; k: 0..15
    static long chooseByProduct(int n, int k) {
        if (k > n)
            return 0;
        long result = 1;
        for (int i = 1; i <= k; i++)
            result = result * (n - k + i) / i;
        return result;
    }

    // limit: 10..60
    static int countPythagoreanTriples(int limit) {
        int count = 0;
        for (int a = 1; a < limit; a++) {
            for (int b = a; b < limit; b++) {
                double c = Math.sqrt(a * a + b * b);
                if (c <= limit && c == Math.floor(c))
                    count++;
            }
        }
        return count;
    }

    // n: 1..120
    static int eulerTotient(int n) {
        int phi = n;
        int m = n;
        for (int p = 2; p * p <= m; p++) {
            if (m % p != 0)
                continue;
            while (m % p == 0)
                m /= p;
            phi -= phi / p;
        }
        if (m > 1)
            phi -= phi / m;
        return phi;
    }

    // n: 1..12
    static int[] rowOfPascal(int n) {
        int row[] = new int[n + 1];
        row[0] = 1;
        for (int i = 1; i <= n; i++) {
            for (int j = i; j > 0; j--) {
                row[j] = row[j] + row[j - 1];
            }
        }
        return row;
    }

    // a: -500..500; b: -500..500; c: -500..500
    static int middleOfThree(int a, int b, int c) {
        int largest = Math.max(a, Math.max(b, c));
        int smallest = Math.min(a, Math.min(b, c));
        return a + b + c - largest - smallest;
    }

    // a: -2000000000..2000000000; b: -2000000000..2000000000
    static int clampedSum(int a, int b) {
        long sum = (long) a + b;
        if (sum > Integer.MAX_VALUE)
            return Integer.MAX_VALUE;
        if (sum < Integer.MIN_VALUE)
            return Integer.MIN_VALUE;
        return (int) sum;
    }

    // x: -20..20; y: 1..9
    static int ceilingDivision(int x, int y) {
        return (int) Math.ceil((double) x / y);
    }

    // x: -99..99; m: 2..12
    static int positiveRemainder(int x, int m) {
        int r = x % m;
        if (r < 0)
            r += m;
        return r;
    }

    // n: 1..300
    static int multiplicativePersistenceSteps(int n) {
        int steps = 0;
        while (n >= 10) {
            int product = 1;
            for (int rest = n; rest > 0; rest /= 10)
                product *= rest % 10;
            n = product;
            steps++;
        }
        return steps;
    }

    // n: 1..40
    static long sumOfCubesDifference(int n) {
        long sumOfCubes = 0;
        long sum = 0;
        for (int i = 1; i <= n; i++) {
            sumOfCubes += (long) Math.pow(i, 3);
            sum += i;
        }
        return sumOfCubes - sum;
    }

    // n: 3..80
    static int goldbachPairs(int n) {
        int total = 2 * n;
        boolean prime[] = new boolean[total + 1];
        Arrays.fill(prime, 2, total + 1, true);
        for (int i = 2; i * i <= total; i++)
            if (prime[i])
                for (int j = i * i; j <= total; j += i)
                    prime[j] = false;
        int pairs = 0;
        for (int i = 2; i <= n; i++) {
            if (prime[i] && prime[total - i])
                pairs++;
        }
        return pairs;
    }

    // x: -9.9..9.9; digits: 0..1
    static double roundedTo(double x, int digits) {
        double factor = Math.pow(10, digits);
        return Math.floor(x * factor + 0.5) / factor;
    }

    // n: 1..2000000000 | 1024 | 65536 | 1 | 1073741824
    static boolean canBeHalvedToOne(int n) {
        double exponent = Math.log(n) / Math.log(2);
        int rounded = (int) Math.round(exponent);
        return (long) Math.pow(2, rounded) == n;
    }

    // m: 0..2; n: 0..4
    static int ackermannValue(int m, int n) {
        if (m == 0)
            return n + 1;
        if (n == 0)
            return ackermannValue(m - 1, 1);
        return ackermannValue(m - 1, ackermannValue(m, n - 1));
    }
}
