import java.util.*;

class Conversions {
    // x: -50.0..50.0
    static int roundedHalfUp(double x) {
        int whole = (int) x;
        double fraction = x - whole;
        if (fraction >= 0.5)
            return whole + 1;
        if (fraction <= -0.5)
            return whole - 1;
        return whole;
    }

    // amount: 0.0..500.0
    static int[] eurosAndCents(double amount) {
        int euros = (int) amount;
        int cents = (int) Math.round((amount - euros) * 100);
        int result[] = {euros, cents};
        return result;
    }

    // a: 1000..2000000; b: 1000..2000000
    static long areaOfField(int a, int b) {
        long area = (long) a * b;
        return area / 10000;
    }

    // n: 1..70000
    static long triangularNumberOf(int n) {
        return (long) n * (n + 1) / 2;
    }

    // x: 1..100000
    static int triangularIndexBelow(int x) {
        double root = (Math.sqrt(8.0 * x + 1) - 1) / 2;
        return (int) Math.floor(root);
    }

    // arr: 3..8 of -100..100
    static int truncatedMean(int arr[]) {
        long sum = 0;
        for (int i = 0; i < arr.length; i++)
            sum += arr[i];
        return (int) (sum / arr.length);
    }

    // arr: 3..8 of 1..50; n: arr.length
    static double geometricMean(int arr[], int n) {
        double logs = 0;
        for (int i = 0; i < n; i++)
            logs += Math.log((double) arr[i]);
        return Math.exp(logs / n);
    }

    // arr: 3..8 of 1..50
    static double harmonicMeanOf(int arr[]) {
        double inverse = 0;
        for (int v : arr)
            inverse += 1 / (double) v;
        return (double) arr.length / inverse;
    }

    // n: 2..100000
    static int digitsInBase(int n) {
        int digits = (int) (Math.log(n) / Math.log(2)) + 1;
        int decimal = (int) Math.log10(n) + 1;
        return 10 * digits + decimal;
    }

    // c: 'a'..'z'; steps: 1..60
    static char letterAfter(char c, int steps) {
        int position = (int) c - 'a';
        position = (position + steps) % 26;
        return (char) (position + 'a');
    }

    // from: 'a'..'m'; to: 'n'..'z'; step: 1..3
    static String lettersBetween(char from, char to, int step) {
        String result = "";
        for (int code = (int) from; code <= (int) to; code += step)
            result += (char) code;
        return result;
    }

    // codes: 2..8 of 65..122
    static String textFromCodes(int codes[]) {
        char letters[] = new char[codes.length];
        for (int i = 0; i < codes.length; i++)
            letters[i] = (char) codes[i];
        return new String(letters);
    }

    // s: 2..8 of 'a'..'z'
    static int[] codesRelativeToFirst(String s) {
        int codes[] = new int[s.length()];
        int first = (int) s.charAt(0);
        for (int i = 0; i < s.length(); i++)
            codes[i] = (int) s.charAt(i) - first;
        return codes;
    }

    // digit: 0..35
    static char digitSymbol(int digit) {
        if (digit < 10)
            return (char) ('0' + digit);
        return (char) ('A' + digit - 10);
    }

    // n: 0..5000; base: 2..36
    static String inAnyBase(int n, int base) {
        String text = "";
        do {
            int d = n % base;
            text = (d < 10 ? (char) (d + '0') : (char) (d - 10 + 'a')) + text;
            n = (int) (n / base);
        } while (n > 0);
        return text;
    }

    // part: 0..90; whole: 91..300
    static int percentRoundedDown(int part, int whole) {
        return (int) (100.0 * part / whole);
    }

    // votes: 3..5 of 100..900; seats: 5..20
    static int[] seatsByShare(int votes[], int seats) {
        int total = 0;
        for (int v : votes)
            total += v;
        int given[] = new int[votes.length];
        for (int i = 0; i < votes.length; i++)
            given[i] = (int) Math.floor((double) votes[i] * seats / total);
        return given;
    }

    // bytes: 0..50000000
    static String readableSize(long bytes) {
        String units[] = {"B", "KB", "MB", "GB"};
        int unit = 0;
        double size = (double) bytes;
        while (size >= 1024 && unit < units.length - 1) {
            size /= 1024;
            unit++;
        }
        return (int) size + " " + units[unit];
    }

    // a: -2000000000..2000000000; b: -2000000000..2000000000
    static int averageWithoutOverflow(int a, int b) {
        long sum = (long) a + (long) b;
        return (int) (sum / 2);
    }

    // value: -9000000000..9000000000
    static int lowerHalfOfLong(long value) {
        int low = (int) value;
        int high = (int) (value >> 32);
        return low ^ high;
    }

    // x: -1000..1000
    static int asSignedByte(int x) {
        byte narrow = (byte) x;
        return (int) narrow;
    }

    // n: 1..40
    static int fibonacciByFormula(int n) {
        double root = Math.sqrt(5);
        double phi = (1 + root) / 2;
        return (int) Math.round(Math.pow(phi, n) / root);
    }

    // n: 4..2000
    static int squaresBelow(int n) {
        int count = (int) Math.ceil(Math.sqrt(n)) - 1;
        return count;
    }

    // low: 1..100; high: 101..900
    static int squaresInRange(int low, int high) {
        int first = (int) Math.ceil(Math.sqrt((double) low));
        int last = (int) Math.floor(Math.sqrt((double) high));
        return last - first + 1;
    }

    // n: 1..100000 | 64 | 729 | 1000000 | 4096
    static boolean isSixthPower(int n) {
        int root = (int) Math.round(Math.pow(n, 1.0 / 6));
        return (long) Math.pow(root, 6) == n;
    }

    // x: 0.0..30.0; y: 0.0..30.0; size: 3..8
    static int tileNumberAt(double x, double y, int size) {
        int column = (int) (x / size);
        int row = (int) (y / size);
        return row * 100 + column;
    }

    // values: 4..8 of 0.0..10.0; bins: 2..5
    static int[] histogramOf(double values[], int bins) {
        int counts[] = new int[bins];
        for (double v : values) {
            int bin = (int) (v / 10.0 * bins);
            counts[Math.min(bin, bins - 1)]++;
        }
        return counts;
    }

    // sorted: sorted 4..9 of 1..60; percent: 10..90
    static int percentileOf(int sorted[], int percent) {
        int rank = (int) Math.ceil(percent / 100.0 * sorted.length);
        return sorted[rank - 1];
    }

    // arr: sorted distinct 6..12 of 1..50; x: 1..50
    static int jumpSearchBlock(int arr[], int x) {
        int n = arr.length;
        int step = (int) Math.floor(Math.sqrt(n));
        int block = 0;
        while (block < n && arr[Math.min(block + step, n) - 1] < x)
            block += step;
        return block >= n ? -1 : block;
    }

    // arr: sorted distinct 5..9 of 1..60; x: 1..60
    static int interpolatedPosition(int arr[], int x) {
        int low = 0;
        int high = arr.length - 1;
        while (low < high && x >= arr[low] && x <= arr[high]) {
            double share = (double) (x - arr[low]) / (arr[high] - arr[low]);
            int pos = low + (int) (share * (high - low));
            if (arr[pos] == x)
                return pos;
            if (arr[pos] < x)
                low = pos + 1;
            else
                high = pos - 1;
        }
        return low <= high && arr[low] == x ? low : -1;
    }

    // n: 5..40
    static int shellSortGapSum(int n) {
        int gap = n;
        int sum = 0;
        while (gap > 1) {
            gap = Math.max(1, (int) (gap / 1.3));
            sum += gap;
        }
        return sum;
    }

    // speed: 10.0..130.0; limit: 30 | 50 | 80 | 100
    static int speedingPoints(double speed, int limit) {
        int over = (int) Math.ceil(speed - limit);
        return over <= 0 ? 0 : (over - 1) / 5 + 1;
    }

    // distance: 1..2000; perTank: 300.0..700.0
    static int fuelStops(int distance, double perTank) {
        int stops = (int) (distance / perTank);
        if (stops > 0 && stops * perTank == (double) distance)
            stops--;
        return stops;
    }

    // area: 5.0..90.0; coats: 1..3; perLiter: 6.0..12.0
    static int paintCans(double area, int coats, double perLiter) {
        double liters = area * coats / perLiter;
        return (int) Math.ceil(liters / 2.5);
    }

    // rating: 800..2400; opponent: 800..2400; result: 0.0..1.0
    static int ratingAfterGame(int rating, int opponent, double result) {
        double expected = 1 / (1 + Math.pow(10, (opponent - rating) / 400.0));
        return rating + (int) Math.round(32 * (result - expected));
    }

    // population: 3..6 of 10..99; growth: 0.9..1.4
    static long grownTotal(int population[], double growth) {
        long total = 0;
        for (int i = 0; i < population.length; i++)
            total += (long) (population[i] * Math.pow(growth, i));
        return total;
    }

    // f: -40..120
    static int celsiusRoundedDown(int f) {
        double c = (f - 32) * 5.0 / 9;
        return (int) Math.floor(c);
    }

    // ratio: 0.05..5.0
    static String nearestFraction(double ratio) {
        int bestTop = 0, bestBottom = 1;
        double error = Double.MAX_VALUE;
        for (int bottom = 1; bottom <= 12; bottom++) {
            int top = (int) Math.round(ratio * bottom);
            double difference = Math.abs(ratio - (double) top / bottom);
            if (difference < error - 1e-12) {
                error = difference;
                bestTop = top;
                bestBottom = bottom;
            }
        }
        return bestTop + "/" + bestBottom;
    }

    // m: 1..12; n: 1..12
    static long rectanglesInGrid(int m, int n) {
        long horizontal = (long) m * (m + 1) / 2;
        long vertical = (long) n * (n + 1) / 2;
        return horizontal * vertical;
    }

    // n: 3..60
    static long diagonalsOfPolygon(int n) {
        return (long) (n * (n - 3) / 2);
    }

    // a: 2..60; d: 1..9; n: 2..40
    static long arithmeticSeriesSum(int a, int d, int n) {
        long last = a + (long) (n - 1) * d;
        return n * (a + last) / 2;
    }

    // a: 1..9; r: 2..4; n: 1..12
    static long geometricSeriesSum(int a, int r, int n) {
        long power = (long) Math.pow(r, n);
        return a * (power - 1) / (r - 1);
    }

    // s: 2..9 of "0123456789"; m: 3 | 7 | 11 | 97
    static int remainderOfLongText(String s, int m) {
        int rest = 0;
        for (int i = 0; i < s.length(); i++)
            rest = (rest * 10 + (int) s.charAt(i) - '0') % m;
        return rest;
    }

    // letters: 3..7 of "bdfhk"
    static char middleLetterByCode(char letters[]) {
        int sum = 0;
        for (char c : letters)
            sum += (int) c;
        return (char) (sum / letters.length);
    }

    // text: 3..10 of "abcde"
    static double averageLetterPosition(String text) {
        int total = 0;
        for (int i = 0; i < text.length(); i++)
            total += text.charAt(i) - 'a' + 1;
        return (double) total / text.length();
    }

    // x: 0.1..20.0; places: 1..3
    static double cutAfterPlaces(double x, int places) {
        int factor = (int) Math.pow(10, places);
        return (double) ((int) (x * factor)) / factor;
    }

    // width: 2.0..9.0; height: 2.0..9.0
    static float halfOfRectangle(float width, float height) {
        float area = width * height;
        return (float) (area * 0.5);
    }

    // n: 1..500
    static int josephusWithTwo(int n) {
        int power = (int) Math.pow(2, (int) (Math.log(n) / Math.log(2) + 1e-9));
        return 2 * (n - power) + 1;
    }
}
