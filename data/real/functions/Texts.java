import java.util.*;

class Texts {
    // s: 3..12 of "aeioubcdfg"
    static int vowelsMinusConsonants(String s) {
        int difference = 0;
        for (int i = 0; i < s.length(); i++) {
            if ("aeiou".indexOf(s.charAt(i)) >= 0)
                difference++;
            else
                difference--;
        }
        return difference;
    }

    // s: 3..8 of "ab" | "level" | "noon" | "abca"
    static boolean readsTheSameBackwards(String s) {
        int i = 0;
        int j = s.length() - 1;
        while (i < j) {
            if (s.charAt(i) != s.charAt(j))
                return false;
            i++;
            j--;
        }
        return true;
    }

    // s: 4..9 of "abc"
    static int longestPalindromeInside(String s) {
        int n = s.length();
        int best = 1;
        for (int center = 0; center < 2 * n - 1; center++) {
            int left = center / 2;
            int right = left + center % 2;
            while (left >= 0 && right < n && s.charAt(left) == s.charAt(right)) {
                best = Math.max(best, right - left + 1);
                left--;
                right++;
            }
        }
        return best;
    }

    // s: 1..10 of 'a'..'z'; key: 1..25
    static String caesarShift(String s, int key) {
        StringBuilder sb = new StringBuilder();
        for (int i = 0; i < s.length(); i++) {
            char c = (char) ((s.charAt(i) - 'a' + key) % 26 + 'a');
            sb.append(c);
        }
        return sb.toString();
    }

    // text: 4..12 of "abcXYZ "; key: 2..4 of 'a'..'z'
    static String vigenereOfLetters(String text, String key) {
        String result = "";
        int k = 0;
        for (char c : text.toCharArray()) {
            if (Character.isLetter(c)) {
                int shift = key.charAt(k % key.length()) - 'a';
                char base = Character.isUpperCase(c) ? 'A' : 'a';
                result += (char) ((c - base + shift) % 26 + base);
                k++;
            } else {
                result += c;
            }
        }
        return result;
    }

    // s: 2..10 of 'a'..'z'
    static String mirrorAlphabet(String s) {
        char letters[] = s.toCharArray();
        for (int i = 0; i < letters.length; i++)
            letters[i] = (char) ('a' + 'z' - letters[i]);
        return new String(letters);
    }

    // s: 3..12 of "aab"
    static String runLengths(String s) {
        StringBuilder out = new StringBuilder();
        int n = s.length();
        for (int i = 0; i < n; i++) {
            int count = 1;
            while (i < n - 1 && s.charAt(i) == s.charAt(i + 1)) {
                count++;
                i++;
            }
            out.append(s.charAt(i));
            out.append(count);
        }
        return out.toString();
    }

    // code: "3a2b" | "1x" | "2a1b4c" | "9z" | "1a1b1c" | "5q2r" | "2m2n" | "4k1l1k" | "3e" | "7w1v"
    static String expandRuns(String code) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < code.length(); i += 2) {
            int times = code.charAt(i) - '0';
            for (int t = 0; t < times; t++)
                text.append(code.charAt(i + 1));
        }
        return text.toString();
    }

    // s: 1..12 of "()" | "(())" | "()()" | "((()" | "())("
    static boolean parenthesesMatch(String s) {
        int open = 0;
        for (int i = 0; i < s.length(); i++) {
            open += s.charAt(i) == '(' ? 1 : -1;
            if (open < 0)
                return false;
        }
        return open == 0;
    }

    // expr: "([]{})" | "([)]" | "((" | "{}" | "]" | "{[()()]}" | "{[(])}" | "()[]" | "([{}" | "[[]]}"
    static boolean bracketsNestWell(String expr) {
        Stack<Character> stack = new Stack<Character>();
        for (int i = 0; i < expr.length(); i++) {
            char c = expr.charAt(i);
            if (c == '(' || c == '[' || c == '{') {
                stack.push(c);
                continue;
            }
            if (stack.isEmpty())
                return false;
            char open = stack.pop();
            if (c == ')' && open != '(' || c == ']' && open != '[' || c == '}' && open != '{')
                return false;
        }
        return stack.isEmpty();
    }

    // s: 2..14 of "()"
    static int deepestNesting(String s) {
        int depth = 0;
        int max = 0;
        for (char c : s.toCharArray()) {
            if (c == '(')
                max = Math.max(max, ++depth);
            else if (depth > 0)
                depth--;
        }
        return max;
    }

    // a: 3..5 of "abc" | "listen" | "aab" | "night" | 3 of "ab"; b: 3..5 of "abc" | "silent" | "abb" | "thing" | 3 of "ab"
    static boolean areAnagrams(String a, String b) {
        if (a.length() != b.length())
            return false;
        int count[] = new int[256];
        for (int i = 0; i < a.length(); i++) {
            count[a.charAt(i)]++;
            count[b.charAt(i)]--;
        }
        for (int i = 0; i < 256; i++)
            if (count[i] != 0)
                return false;
        return true;
    }

    // s: 3..10 of "abcd"
    static char firstSingleLetter(String s) {
        int count[] = new int[26];
        for (int i = 0; i < s.length(); i++)
            count[s.charAt(i) - 'a']++;
        for (int i = 0; i < s.length(); i++)
            if (count[s.charAt(i) - 'a'] == 1)
                return s.charAt(i);
        return '-';
    }

    // s: 4..14 of "abcde"
    static int longestWithoutRepeat(String s) {
        int last[] = new int[128];
        Arrays.fill(last, -1);
        int start = 0;
        int best = 0;
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            start = Math.max(start, last[c] + 1);
            last[c] = i;
            best = Math.max(best, i - start + 1);
        }
        return best;
    }

    // sentence: "the quick brown fox" | "a b c" | "one" | "to be or not" | "hello world" | "i am here now" | "x yy zzz" | "read more books" | "no" | "go far away"
    static String wordsBackwards(String sentence) {
        String words[] = sentence.split(" ");
        StringBuilder result = new StringBuilder();
        for (int i = words.length - 1; i >= 0; i--) {
            result.append(words[i]);
            if (i > 0)
                result.append(" ");
        }
        return result.toString();
    }

    // sentence: 4..7 of "ab " | "the cat sat" | "one two" | "  left" | "wide   gap here"
    static int countWordsByHand(String sentence) {
        int words = 0;
        boolean inside = false;
        for (int i = 0; i < sentence.length(); i++) {
            if (sentence.charAt(i) == ' ') {
                inside = false;
            } else if (!inside) {
                inside = true;
                words++;
            }
        }
        return words;
    }

    // sentence: "the long and winding road" | "a bb ccc dd" | "single" | "tie goes here ok" | "my cat likes fish" | "x y" | "some words are longer" | "an old tree" | "where is everybody" | "in out"
    static int lengthOfLongestWord(String sentence) {
        int longest = Integer.MIN_VALUE;
        String[] words = sentence.split(" ");
        for (String word : words)
            longest = Math.max(longest, word.length());
        return longest;
    }

    // name: "ada lovelace" | "alan turing" | "grace" | "john von neumann" | "barbara liskov" | "dennis m ritchie" | "ken" | "edsger dijkstra" | "tony hoare" | "don knuth"
    static String initialsOf(String name) {
        String initials = "";
        for (int i = 0; i < name.length(); i++) {
            if (i == 0 || name.charAt(i - 1) == ' ')
                initials += Character.toUpperCase(name.charAt(i)) + ".";
        }
        return initials;
    }

    // s: 3..12 of "abcdEFG "
    static String swapLetterCase(String s) {
        StringBuilder sb = new StringBuilder(s);
        for (int i = 0; i < sb.length(); i++) {
            char c = sb.charAt(i);
            if (Character.isUpperCase(c))
                sb.setCharAt(i, Character.toLowerCase(c));
            else if (Character.isLowerCase(c))
                sb.setCharAt(i, Character.toUpperCase(c));
        }
        return sb.toString();
    }

    // s: "helloWorld" | "x" | "aBc" | "someLongName" | "parseInt" | "toString" | "lower" | "isEmptyList" | "maxValueOf" | "oneTwoThree"
    static String camelToSnake(String s) {
        StringBuilder out = new StringBuilder();
        for (char c : s.toCharArray()) {
            if (c >= 'A' && c <= 'Z') {
                out.append('_');
                out.append((char) (c + 32));
            } else {
                out.append(c);
            }
        }
        return out.toString();
    }

    // s: "hello_world" | "a_b_c" | "plain" | "to_string" | "one_two" | "my_long_name" | "x_y" | "end" | "is_it_ok" | "go_on"
    static String snakeToCamel(String s) {
        String result = "";
        boolean upper = false;
        for (int i = 0; i < s.length(); i++) {
            if (s.charAt(i) == '_') {
                upper = true;
                continue;
            }
            result += upper ? Character.toUpperCase(s.charAt(i)) : s.charAt(i);
            upper = false;
        }
        return result;
    }

    // text: 6..16 of "ab"; pattern: 1..3 of "ab"
    static int occurrencesWithOverlap(String text, String pattern) {
        int n = text.length();
        int m = pattern.length();
        int count = 0;
        for (int i = 0; i <= n - m; i++) {
            int j = 0;
            while (j < m && text.charAt(i + j) == pattern.charAt(j))
                j++;
            if (j == m)
                count++;
        }
        return count;
    }

    // s: 3..10 of "aab"
    static int[] borderTable(String s) {
        int n = s.length();
        int border[] = new int[n];
        int k = 0;
        for (int i = 1; i < n; i++) {
            while (k > 0 && s.charAt(i) != s.charAt(k))
                k = border[k - 1];
            if (s.charAt(i) == s.charAt(k))
                k++;
            border[i] = k;
        }
        return border;
    }

    // a: 2..8 of "abc"; b: 2..8 of "abc"
    static boolean isSubsequence(String a, String b) {
        int i = 0;
        for (int j = 0; j < b.length() && i < a.length(); j++) {
            if (a.charAt(i) == b.charAt(j))
                i++;
        }
        return i == a.length();
    }

    // words: 2..4 of ["flower", "flow", "floor", "flowing"] | 2..3 of ["car", "cart", "cat", "dog"]
    static String commonStart(String words[]) {
        String prefix = words[0];
        for (int i = 1; i < words.length; i++) {
            int k = 0;
            int limit = Math.min(prefix.length(), words[i].length());
            while (k < limit && prefix.charAt(k) == words[i].charAt(k))
                k++;
            prefix = prefix.substring(0, k);
        }
        return prefix;
    }

    // a: 4..6 of "01"; b: 6 of "01"
    static int hammingDistance(String a, String b) {
        int distance = Math.abs(a.length() - b.length());
        int common = Math.min(a.length(), b.length());
        for (int i = 0; i < common; i++)
            if (a.charAt(i) != b.charAt(i))
                distance++;
        return distance;
    }

    // s: 1..7 of "abcxyz" | "ab" | "abcd"
    static boolean lettersStrictlyRise(String s) {
        for (int i = 0; i + 1 < s.length(); i++) {
            if ((int) s.charAt(i) >= (int) s.charAt(i + 1))
                return false;
        }
        return true;
    }

    // s: 1..3 of 'A'..'Z'
    static int spreadsheetColumn(String s) {
        int column = 0;
        for (int i = 0; i < s.length(); i++)
            column = column * 26 + (s.charAt(i) - 'A' + 1);
        return column;
    }

    // n: 1..20000
    static String spreadsheetLetters(int n) {
        StringBuilder letters = new StringBuilder();
        while (n > 0) {
            n--;
            letters.insert(0, (char) ('A' + n % 26));
            n /= 26;
        }
        return letters.toString();
    }

    // s: 3..8 of "abc"; k: 1..9
    static String rotatedLeft(String s, int k) {
        int cut = k % s.length();
        return s.substring(cut) + s.substring(0, cut);
    }

    // a: 4 of "ab" | "abcd" | "xyxz"; b: 4 of "ab" | "cdab" | "xzxy"
    static boolean areRotations(String a, String b) {
        if (a.length() != b.length())
            return false;
        String doubled = a + a;
        return doubled.contains(b);
    }

    // s: 2..12 of "aabb"
    static String withoutNeighbourDoubles(String s) {
        StringBuilder kept = new StringBuilder();
        for (int i = 0; i < s.length(); i++) {
            int last = kept.length() - 1;
            if (last >= 0 && kept.charAt(last) == s.charAt(i))
                kept.deleteCharAt(last);
            else
                kept.append(s.charAt(i));
        }
        return kept.toString();
    }

    // s: 3..10 of "banjo"
    static String uniqueLettersInOrder(String s) {
        boolean seen[] = new boolean[26];
        String result = "";
        for (int i = 0; i < s.length(); i++) {
            int index = s.charAt(i) - 'a';
            if (!seen[index]) {
                seen[index] = true;
                result = result + s.charAt(i);
            }
        }
        return result;
    }

    // s: 3..9 of 'a'..'k'
    static String lettersSortedDown(String s) {
        char arr[] = s.toCharArray();
        Arrays.sort(arr);
        StringBuilder sb = new StringBuilder();
        for (int i = arr.length - 1; i >= 0; i--)
            sb.append(arr[i]);
        return sb.toString();
    }

    // s: 5..14 of "ab1234"
    static int sumOfNumbersInText(String s) {
        int sum = 0;
        int number = 0;
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (Character.isDigit(c)) {
                number = number * 10 + (c - '0');
            } else {
                sum += number;
                number = 0;
            }
        }
        return sum + number;
    }

    // s: "12+7-3" | "5" | "100-99+1" | "1+2+3+4" | "50-25-25" | "8-16" | "7+70+700" | "0-9" | "33+3-30" | "2-2"
    static int evaluateSumsAndDifferences(String s) {
        int result = 0;
        int number = 0;
        char sign = '+';
        for (int i = 0; i <= s.length(); i++) {
            char c = i < s.length() ? s.charAt(i) : '+';
            if (c >= '0' && c <= '9') {
                number = number * 10 + c - '0';
                continue;
            }
            result = sign == '+' ? result + number : result - number;
            number = 0;
            sign = c;
        }
        return result;
    }

    // postfix: "3 4 +" | "5 1 2 + 4 * + 3 -" | "2 3 *" | "9 3 /" | "7 2 - 3 *" | "1 1 + 1 +" | "8 4 2 / /" | "6 5 4 - -" | "10 2 *" | "42"
    static int evaluatePostfix(String postfix) {
        Stack<Integer> stack = new Stack<>();
        for (String token : postfix.split(" ")) {
            if (token.length() == 1 && "+-*/".indexOf(token.charAt(0)) >= 0) {
                int right = stack.pop();
                int left = stack.pop();
                switch (token.charAt(0)) {
                    case '+': stack.push(left + right); break;
                    case '-': stack.push(left - right); break;
                    case '*': stack.push(left * right); break;
                    default: stack.push(left / right);
                }
            } else {
                stack.push(Integer.parseInt(token));
            }
        }
        return stack.pop();
    }

    // time: "00:00" | "12:30" | "23:59" | "07:05" | "18:45" | "03:15" | "11:11" | "20:00" | "09:41" | "16:20"
    static int minutesSinceMidnight(String time) {
        int colon = time.indexOf(':');
        int hours = Integer.parseInt(time.substring(0, colon));
        int minutes = Integer.parseInt(time.substring(colon + 1));
        return 60 * hours + minutes;
    }

    // version: "1.2.3" | "1.10" | "2.0.0" | "1.2" | "0.9.9"; other: "1.2.4" | "1.9" | "2" | "1.2.0" | "0.10" | "1.2.3"
    static int compareVersions(String version, String other) {
        String a[] = version.split("\\.");
        String b[] = other.split("\\.");
        int parts = Math.max(a.length, b.length);
        for (int i = 0; i < parts; i++) {
            int x = i < a.length ? Integer.parseInt(a[i]) : 0;
            int y = i < b.length ? Integer.parseInt(b[i]) : 0;
            if (x != y)
                return x < y ? -1 : 1;
        }
        return 0;
    }

    // address: "192.168.0.1" | "256.1.1.1" | "1.2.3" | "0.0.0.0" | "10.20.30.400" | "1.1.1.01" | "8.8.8.8" | "1..2.3" | "127.0.0.1" | "12.34.56.78.9"
    static boolean isDottedAddress(String address) {
        String[] parts = address.split("\\.");
        if (parts.length != 4)
            return false;
        for (String part : parts) {
            if (part.length() == 0 || part.length() > 3)
                return false;
            if (part.length() > 1 && part.charAt(0) == '0')
                return false;
            if (Integer.parseInt(part) > 255)
                return false;
        }
        return true;
    }

    // password: 4..10 of "aB3$" | "Secret12" | "abc" | "ABCdef9!" | "longbutplain"
    static int passwordStrength(String password) {
        int lower = 0, upper = 0, digit = 0, other = 0;
        for (int i = 0; i < password.length(); i++) {
            char c = password.charAt(i);
            if (c >= 'a' && c <= 'z')
                lower = 1;
            else if (c >= 'A' && c <= 'Z')
                upper = 1;
            else if (c >= '0' && c <= '9')
                digit = 1;
            else
                other = 1;
        }
        int kinds = lower + upper + digit + other;
        return password.length() >= 8 ? kinds + 1 : kinds;
    }

    // row: 3..8 of "RWB"
    static int fewestRepaintings(String row) {
        int red = 0, white = 0, blue = 0;
        int length = row.length();
        for (int i = 0; i < length; i++) {
            switch (row.charAt(i)) {
                case 'R':
                    red++;
                    break;
                case 'W':
                    white++;
                    break;
                default:
                    blue++;
            }
        }
        return length - Math.max(red, Math.max(white, blue));
    }

    // moves: 3..12 of "UDLR" | "UD" | "LLRR"
    static boolean returnsToStart(String moves) {
        int x = 0, y = 0;
        for (char m : moves.toCharArray()) {
            if (m == 'U')
                y++;
            else if (m == 'D')
                y--;
            else if (m == 'L')
                x--;
            else
                x++;
        }
        return x == 0 && y == 0;
    }

    // moves: 3..12 of "NESW"
    static double distanceAfterWalk(String moves) {
        int dx[] = {0, 1, 0, -1};
        int dy[] = {1, 0, -1, 0};
        int x = 0;
        int y = 0;
        for (int i = 0; i < moves.length(); i++) {
            int direction = "NESW".indexOf(moves.charAt(i));
            x += dx[direction];
            y += dy[direction];
        }
        return Math.sqrt(x * x + y * y);
    }

    // n: 1..40
    static String fizzOrBuzz(int n) {
        String word = "";
        if (n % 3 == 0)
            word += "Fizz";
        if (n % 5 == 0)
            word += "Buzz";
        return word.isEmpty() ? String.valueOf(n) : word;
    }

    // n: 1..7
    // mark: '*' | '#' | 'o'
    static String triangleOfMarks(int n, char mark) {
        StringBuilder sb = new StringBuilder();
        for (int row = 1; row <= n; row++) {
            for (int i = 0; i < n - row; i++)
                sb.append(' ');
            for (int i = 0; i < 2 * row - 1; i++)
                sb.append(mark);
            if (row < n)
                sb.append('\n');
        }
        return sb.toString();
    }

    // message: 5..14 of 'a'..'p'; rails: 2..4
    static String railFence(String message, int rails) {
        StringBuilder result = new StringBuilder();
        int period = 2 * (rails - 1);
        for (int r = 0; r < rails; r++) {
            for (int i = 0; i < message.length(); i++) {
                int phase = i % period;
                if (phase == r || period - phase == r)
                    result.append(message.charAt(i));
            }
        }
        return result.toString();
    }

    // a: 1..7 of "abc"; b: 1..7 of "xyz"
    static String zippedTogether(String a, String b) {
        StringBuilder zipped = new StringBuilder();
        int longer = Math.max(a.length(), b.length());
        for (int i = 0; i < longer; i++) {
            if (i < a.length())
                zipped.append(a.charAt(i));
            if (i < b.length())
                zipped.append(b.charAt(i));
        }
        return zipped.toString();
    }

    // s: 2..9 of "abz"
    static long polynomialHash(String s) {
        long hash = 0;
        long power = 1;
        long mod = 1000000007L;
        for (int i = 0; i < s.length(); i++) {
            hash = (hash + (s.charAt(i) - 'a' + 1) * power) % mod;
            power = power * 31 % mod;
        }
        return hash;
    }

    // word: 3..9 of "eiaoutrsl"
    static int scrabbleScore(String word) {
        int points[] = new int[26];
        Arrays.fill(points, 1);
        points['t' - 'a'] = 2;
        points['r' - 'a'] = 2;
        points['l' - 'a'] = 3;
        int score = 0;
        for (int i = 0; i < word.length(); i++)
            score += points[word.charAt(i) - 'a'];
        return word.length() > 6 ? score + 10 : score;
    }

    // s: 1..9 of "abAB1 "
    static int sumOfCharacterCodes(String s) {
        int sum = 0;
        for (int i = 0; i < s.length(); i++) {
            int code = (int) s.charAt(i);
            sum += i % 2 == 0 ? code : -code;
        }
        return sum;
    }

    // bits: 3..10 of "01"
    static int substringsOfEqualRuns(String bits) {
        int previous = 0;
        int current = 1;
        int count = 0;
        for (int i = 1; i < bits.length(); i++) {
            if (bits.charAt(i) == bits.charAt(i - 1)) {
                current++;
            } else {
                count += Math.min(previous, current);
                previous = current;
                current = 1;
            }
        }
        return count + Math.min(previous, current);
    }

    // s: 3..7 of "abcd"
    static int insertionsForPalindrome(String s) {
        int n = s.length();
        int need[][] = new int[n][n];
        for (int gap = 1; gap < n; gap++) {
            for (int i = 0; i + gap < n; i++) {
                int j = i + gap;
                if (s.charAt(i) == s.charAt(j))
                    need[i][j] = need[i + 1][j - 1];
                else
                    need[i][j] = 1 + Math.min(need[i + 1][j], need[i][j - 1]);
            }
        }
        return need[0][n - 1];
    }

    // line: 4..10 of "ab,"; separator: ','
    static int fieldsOfLine(String line, char separator) {
        int fields = 1;
        int length = line.length();
        for (int i = 0; i < length; i++)
            if (line.charAt(i) == separator)
                fields++;
        return fields;
    }

    // text: 4..12 of "ab c"; width: 3..9
    static String padToWidth(String text, int width) {
        String trimmed = text.trim();
        if (trimmed.length() >= width)
            return trimmed.substring(0, width);
        StringBuilder padded = new StringBuilder(trimmed);
        while (padded.length() < width)
            padded.append('.');
        return padded.toString();
    }

    // s: 2..9 of "xyz"; from: 'x'..'z'; to: 'a'..'c'
    static String replaceEveryOther(String s, char from, char to) {
        char chars[] = s.toCharArray();
        boolean replace = true;
        for (int i = 0; i < chars.length; i++) {
            if (chars[i] != from)
                continue;
            if (replace)
                chars[i] = to;
            replace = !replace;
        }
        return String.valueOf(chars);
    }

    // dna: 4..14 of "ACGT"
    static String reverseComplement(String dna) {
        StringBuilder strand = new StringBuilder();
        for (int i = dna.length() - 1; i >= 0; i--) {
            char base = dna.charAt(i);
            if (base == 'A')
                strand.append('T');
            else if (base == 'T')
                strand.append('A');
            else
                strand.append(base == 'C' ? 'G' : 'C');
        }
        return strand.toString();
    }

    // dna: 4..20 of "ACGT"
    static double shareOfGc(String dna) {
        int count = 0;
        for (char c : dna.toCharArray())
            if (c == 'G' || c == 'C')
                count++;
        return (double) count / dna.length() * 100;
    }
}
