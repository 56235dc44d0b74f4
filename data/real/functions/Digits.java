import java.util.*;

class Digits {
    // n: 0..99999
    static int alternatingDigitSum(int n) {
        int sum = 0;
        int sign = 1;
        while (n > 0) {
            sum += sign * (n % 10);
            sign = -sign;
            n /= 10;
        }
        return Math.abs(sum);
    }

    // n: -99999..99999
    static int reverseKeepingSign(int n) {
        int reversed = 0;
        int rest = Math.abs(n);
        while (rest != 0) {
            reversed = reversed * 10 + rest % 10;
            rest = rest / 10;
        }
        return n < 0 ? -reversed : reversed;
    }

    // n: 0..9999999
    static int mostFrequentDigit(int n) {
        int count[] = new int[10];
        String digits = String.valueOf(n);
        for (int i = 0; i < digits.length(); i++)
            count[digits.charAt(i) - '0']++;
        int best = 0;
        for (int d = 1; d < 10; d++)
            if (count[d] > count[best])
                best = d;
        return best;
    }

    // n: 1..99999 | 153 | 370 | 9474
    static boolean isArmstrong(int n) {
        int length = String.valueOf(n).length();
        int rest = n;
        int sum = 0;
        while (rest > 0) {
            sum += (int) Math.pow(rest % 10, length);
            rest /= 10;
        }
        return sum == n;
    }

    // n: 1..9999 | 18 | 111 | 102
    static boolean divisibleByItsDigitSum(int n) {
        int sum = 0;
        for (int m = n; m > 0; m /= 10)
            sum += m % 10;
        return n % sum == 0;
    }

    // n: 1..200 | 19 | 7 | 4
    static boolean isHappyNumber(int n) {
        Set<Integer> seen = new HashSet<>();
        while (n != 1 && !seen.contains(n)) {
            seen.add(n);
            int next = 0;
            while (n > 0) {
                int digit = n % 10;
                next += digit * digit;
                n /= 10;
            }
            n = next;
        }
        return n == 1;
    }

    // n: 0..2000000000
    static int digitalRootByLoop(int n) {
        while (n > 9) {
            int s = 0;
            while (n > 0) {
                s += n % 10;
                n /= 10;
            }
            n = s;
        }
        return n;
    }

    // n: 0..100000
    static String withThousandsCommas(int n) {
        String digits = Integer.toString(n);
        StringBuilder out = new StringBuilder();
        int len = digits.length();
        for (int i = 0; i < len; i++) {
            if (i > 0 && (len - i) % 3 == 0)
                out.append(',');
            out.append(digits.charAt(i));
        }
        return out.toString();
    }

    // n: 0..5000; base: 2..9
    static String inSmallBase(int n, int base) {
        if (n == 0)
            return "0";
        StringBuilder sb = new StringBuilder();
        while (n > 0) {
            sb.append(n % base);
            n /= base;
        }
        return sb.reverse().toString();
    }

    // text: 2..6 of "01234567"
    static int octalValue(String text) {
        int value = 0;
        for (char c : text.toCharArray())
            value = value * 8 + (c - '0');
        return value;
    }

    // hex: 1..5 of "0123456789abcdef"
    static int hexadecimalValue(String hex) {
        int value = 0;
        for (int i = 0; i < hex.length(); i++) {
            char c = hex.charAt(i);
            int digit;
            if (c >= '0' && c <= '9')
                digit = c - '0';
            else
                digit = c - 'a' + 10;
            value = 16 * value + digit;
        }
        return value;
    }

    // n: 1..255
    static String hexadecimalText(int n) {
        char symbols[] = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
        String result = "";
        while (n > 0) {
            result = symbols[n % 16] + result;
            n = n / 16;
        }
        return result;
    }

    // n: 1..3999
    static String romanNumeral(int n) {
        int values[] = {1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1};
        String[] symbols = {"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"};
        StringBuilder roman = new StringBuilder();
        for (int i = 0; i < values.length; i++) {
            while (n >= values[i]) {
                roman.append(symbols[i]);
                n -= values[i];
            }
        }
        return roman.toString();
    }

    // roman: "XIV" | "MCMXC" | "III" | "XLII" | "DCCC" | "CDXLIV" | "MMXXVI" | "IX" | "LXXXIX" | "I"
    static int romanValue(String roman) {
        Map<Character, Integer> value = new HashMap<>();
        value.put('I', 1);
        value.put('V', 5);
        value.put('X', 10);
        value.put('L', 50);
        value.put('C', 100);
        value.put('D', 500);
        value.put('M', 1000);
        int total = 0;
        for (int i = 0; i < roman.length(); i++) {
            int now = value.get(roman.charAt(i));
            if (i + 1 < roman.length() && now < value.get(roman.charAt(i + 1)))
                total -= now;
            else
                total += now;
        }
        return total;
    }

    // number: 7..16 of "0123456789" | "79927398713" | "4539578763621486"
    static boolean passesLuhnCheck(String number) {
        int sum = 0;
        boolean twice = false;
        for (int i = number.length() - 1; i >= 0; i--) {
            int d = number.charAt(i) - '0';
            if (twice) {
                d *= 2;
                if (d > 9)
                    d -= 9;
            }
            sum += d;
            twice = !twice;
        }
        return sum % 10 == 0;
    }

    // isbn: 9 of "0123456789"
    static char isbnCheckCharacter(String isbn) {
        int sum = 0;
        for (int i = 0; i < 9; i++)
            sum += (10 - i) * (isbn.charAt(i) - '0');
        int check = (11 - sum % 11) % 11;
        return check == 10 ? 'X' : (char) ('0' + check);
    }

    // a: 1..9999; b: 1..9999
    static int carriesInAddition(int a, int b) {
        int carries = 0;
        int carry = 0;
        while (a > 0 || b > 0) {
            int sum = a % 10 + b % 10 + carry;
            carry = sum >= 10 ? 1 : 0;
            carries += carry;
            a /= 10;
            b /= 10;
        }
        return carries;
    }

    // a: 1..12 of "0123456789"; b: 1..12 of "0123456789"
    static String addDecimalTexts(String a, String b) {
        StringBuilder sum = new StringBuilder();
        int i = a.length() - 1, j = b.length() - 1;
        int carry = 0;
        while (i >= 0 || j >= 0 || carry > 0) {
            int d = carry;
            if (i >= 0)
                d += a.charAt(i--) - '0';
            if (j >= 0)
                d += b.charAt(j--) - '0';
            sum.append((char) (d % 10 + '0'));
            carry = d / 10;
        }
        return sum.reverse().toString();
    }

    // n: 12..99999
    static int largestWithDigitsSorted(int n) {
        char digits[] = String.valueOf(n).toCharArray();
        Arrays.sort(digits);
        int result = 0;
        for (int i = digits.length - 1; i >= 0; i--)
            result = result * 10 + (digits[i] - '0');
        return result;
    }

    // n: 100..999999; k: 1..3
    static int smallestAfterRemoving(int n, int k) {
        String s = String.valueOf(n);
        Stack<Character> kept = new Stack<>();
        for (int i = 0; i < s.length(); i++) {
            while (k > 0 && !kept.isEmpty() && kept.peek() > s.charAt(i)) {
                kept.pop();
                k--;
            }
            kept.push(s.charAt(i));
        }
        int value = 0;
        for (int i = 0; i < kept.size() - k; i++)
            value = value * 10 + (kept.get(i) - '0');
        return value;
    }

    // n: 1000..9998
    static int stepsToKaprekar(int n) {
        int steps = 0;
        while (n != 6174 && n != 0) {
            char[] d = String.format("%04d", n).toCharArray();
            Arrays.sort(d);
            int small = Integer.parseInt(new String(d));
            int large = Integer.parseInt(new StringBuilder(new String(d)).reverse().toString());
            n = large - small;
            steps++;
        }
        return steps;
    }

    // low: 1..100; high: 101..400
    static int countWithDistinctDigits(int low, int high) {
        int count = 0;
        for (int n = low; n <= high; n++) {
            boolean used[] = new boolean[10];
            boolean distinct = true;
            for (int m = n; m > 0 && distinct; m /= 10) {
                if (used[m % 10])
                    distinct = false;
                used[m % 10] = true;
            }
            if (distinct)
                count++;
        }
        return count;
    }

    // n: 1..99999 | 12321 | 7447
    static boolean isDigitPalindrome(int n) {
        int power = (int) Math.pow(10, (int) Math.log10(n));
        while (n > 0) {
            if (n / power != n % 10)
                return false;
            n = (n % power) / 10;
            power /= 100;
        }
        return true;
    }

    // value: 0..9999
    static int countClosedLoops(int value) {
        int loops[] = {1, 0, 0, 0, 0, 0, 1, 0, 2, 1};
        int total = value == 0 ? 1 : 0;
        while (value > 0) {
            total += loops[value % 10];
            value /= 10;
        }
        return total;
    }

    // n: 1..99999 | 12345 | 4458 | 1..99
    static boolean digitsNeverFall(int n) {
        int last = Integer.MAX_VALUE;
        while (n > 0) {
            int d = n % 10;
            if (d > last)
                return false;
            last = d;
            n /= 10;
        }
        return true;
    }

    // n: 10..2000000000
    static long productOfNonZeroDigits(int n) {
        long product = 1;
        String s = Integer.toString(n);
        for (char c : s.toCharArray()) {
            int d = Character.getNumericValue(c);
            if (d != 0)
                product *= d;
        }
        return product;
    }
}
