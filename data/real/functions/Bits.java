import java.util.*;

class Bits {
    // n: 0..100000
    static int countOnesByClearing(int n) {
        int ones = 0;
        while (n != 0) {
            n &= n - 1;
            ones++;
        }
        return ones;
    }

    // n: 0..200 | 5 | 10 | 21 | 170
    static boolean bitsAlternate(int n) {
        int last = n & 1;
        n >>= 1;
        while (n > 0) {
            int bit = n & 1;
            if (bit == last)
                return false;
            last = bit;
            n >>= 1;
        }
        return true;
    }

    // x: -2000000000..2000000000
    static int mirrorAllBits(int x) {
        int result = 0;
        for (int i = 0; i < 32; i++) {
            result <<= 1;
            result |= x & 1;
            x >>>= 1;
        }
        return result;
    }

    // a: 0..5000; b: 0..5000
    static int bitsToFlip(int a, int b) {
        int different = a ^ b;
        int flips = 0;
        for (int i = 0; i < 32; i++)
            if ((different & (1 << i)) != 0)
                flips++;
        return flips;
    }

    // values: 5..9 of 0..40
    static int xorOfAllPairSums(int values[]) {
        int result = 0;
        int n = values.length;
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n; j++)
                result ^= values[i] + values[j];
        return result;
    }

    // arr: [4, 7, 4, 9, 7] | [1, 1, 2] | [5] | [8, 3, 8, 3, 6] | 7 of 0..9 | 5 of 1..3
    static int unpairedElement(int[] arr) {
        int x = 0;
        for (int v : arr)
            x ^= v;
        return x;
    }

    // x: 1..1000000
    static int positionOfHighestBit(int x) {
        int position = -1;
        while (x > 0) {
            x = x >> 1;
            position++;
        }
        return position;
    }

    // n: 1..2000
    static int longestRunOfOnes(int n) {
        int best = 0;
        int run = 0;
        while (n > 0) {
            if (n % 2 == 1) {
                run++;
                best = Math.max(best, run);
            } else {
                run = 0;
            }
            n = n / 2;
        }
        return best;
    }

    // n: 1..3000 | 9 | 1041 | 32
    static int widestGapOfZeros(int n) {
        int widest = 0;
        int lastOne = -1;
        for (int i = 0; i < 31; i++) {
            if (((n >> i) & 1) == 0)
                continue;
            if (lastOne >= 0)
                widest = Math.max(widest, i - lastOne - 1);
            lastOne = i;
        }
        return widest;
    }

    // n: 0..1000
    static int toGrayCode(int n) {
        return n ^ (n >> 1);
    }

    // code: 0..1000
    static int fromGrayCode(int code) {
        int mask = code >> 1;
        while (mask != 0) {
            code ^= mask;
            mask >>= 1;
        }
        return code;
    }

    // n: 1..4; on: '1' | 'x' | '#'
    static String[] grayCodeWords(int n, char on) {
        int total = 1 << n;
        String words[] = new String[total];
        for (int i = 0; i < total; i++) {
            int gray = i ^ (i >> 1);
            StringBuilder word = new StringBuilder();
            for (int b = n - 1; b >= 0; b--)
                word.append((gray >> b & 1) == 1 ? on : '0');
            words[i] = word.toString();
        }
        return words;
    }

    // x: 0..60000; i: 0..15; j: 0..15
    static int exchangeTwoBits(int x, int i, int j) {
        int bitI = (x >> i) & 1;
        int bitJ = (x >> j) & 1;
        if (bitI != bitJ)
            x ^= (1 << i) | (1 << j);
        return x;
    }

    // x: -2000000000..2000000000; k: 1..31
    static int rotateLeftBy(int x, int k) {
        return (x << k) | (x >>> (32 - k));
    }

    // color: 0..16777215
    static int grayLevelOfColor(int color) {
        int red = (color >> 16) & 0xFF;
        int green = (color >> 8) & 0xFF;
        int blue = color & 0xFF;
        return (int) (0.299 * red + 0.587 * green + 0.114 * blue);
    }

    // red: 0..255; green: 0..255; blue: 0..255
    static String colorInHex(int red, int green, int blue) {
        int parts[] = {red, green, blue};
        String digits = "0123456789abcdef";
        StringBuilder sb = new StringBuilder("#");
        for (int p : parts) {
            sb.append(digits.charAt(p >> 4));
            sb.append(digits.charAt(p & 15));
        }
        return sb.toString();
    }

    // address: 0..4294967295
    static String dottedAddress(long address) {
        String result = "";
        for (int shift = 24; shift >= 0; shift -= 8) {
            long part = (address >> shift) & 255;
            result += part;
            if (shift > 0)
                result += ".";
        }
        return result;
    }

    // set: 4..6 of 1..9; target: 5..20
    static int subsetsWithSum(int set[], int target) {
        int n = set.length;
        int count = 0;
        for (int mask = 0; mask < (1 << n); mask++) {
            int sum = 0;
            for (int i = 0; i < n; i++) {
                if ((mask & (1 << i)) > 0)
                    sum += set[i];
            }
            if (sum == target)
                count++;
        }
        return count;
    }

    // a: 0..500; b: 0..500
    static int subtractWithoutMinus(int a, int b) {
        while (b != 0) {
            int borrow = ~a & b;
            a = a ^ b;
            b = borrow << 1;
        }
        return a;
    }

    // a: 0..300; b: 0..300
    static long multiplyLikeAPeasant(int a, int b) {
        long product = 0;
        long doubled = a;
        while (b > 0) {
            if ((b & 1) != 0)
                product += doubled;
            doubled <<= 1;
            b >>= 1;
        }
        return product;
    }

    // text: 1..8 of "abcdxyz"
    static int checksumOfText(String text) {
        int hash = 7;
        for (int i = 0; i < text.length(); i++) {
            hash = hash * 31 + (int) text.charAt(i);
            hash ^= hash >>> 5;
        }
        return hash;
    }

    // bytes: 3..8 of 0..255
    static int crcOfBytes(int[] bytes) {
        int crc = 0xFF;
        for (int value : bytes) {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++) {
                if ((crc & 0x80) != 0)
                    crc = ((crc << 1) ^ 0x07) & 0xFF;
                else
                    crc = (crc << 1) & 0xFF;
            }
        }
        return crc;
    }

    // bits: 3..12 of "01"
    static int parityBitFor(String bits) {
        int parity = 0;
        for (char c : bits.toCharArray())
            parity ^= c - '0';
        return parity;
    }

    // seed: 1..65535; steps: 1..20
    static int shiftRegisterAfter(int seed, int steps) {
        int state = seed;
        for (int s = 0; s < steps; s++) {
            int bit = (state ^ (state >> 2) ^ (state >> 3) ^ (state >> 5)) & 1;
            state = (state >> 1) | (bit << 15);
        }
        return state;
    }

    // arr: 4..8 of 0..63; n: arr.length
    static int largestAndOfPair(int arr[], int n) {
        int best = Integer.MIN_VALUE;
        for (int i = 0; i < n - 1; i++) {
            for (int j = i + 1; j < n; j++) {
                best = Math.max(best, arr[i] & arr[j]);
            }
        }
        return best;
    }

    // n: 1..1000
    static int nextWithSameOnes(int n) {
        int lowest = n & -n;
        int ripple = n + lowest;
        int ones = ((n ^ ripple) >> 2) / lowest;
        return ripple | ones;
    }

    // n: 0..1000
    static long spreadBitsApart(int n) {
        long spread = 0L;
        for (int i = 0; i < 16; i++) {
            long bit = (n >> i) & 1;
            spread |= bit << (2 * i);
        }
        return spread;
    }
}
