import java.util.*;

class Everyday {
    // year: 1896..2104 | 1900 | 2000 | 2024
    static int daysInYear(int year) {
        boolean leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
        return leap ? 366 : 365;
    }

    // month: 1..12; year: 1999..2025
    static int daysInMonthOf(int month, int year) {
        int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        if (month == 2 && (year % 400 == 0 || year % 4 == 0 && year % 100 != 0))
            return 29;
        return days[month - 1];
    }

    // day: 1..28; month: 1..12; year: 1900..2099
    static String weekdayName(int day, int month, int year) {
        String names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
        int offsets[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
        if (month < 3)
            year--;
        int index = (year + year / 4 - year / 100 + year / 400 + offsets[month - 1] + day) % 7;
        return names[index];
    }

    // day: 1..28; month: 1..12
    static int dayNumberInYear(int day, int month) {
        int number = day;
        for (int m = 1; m < month; m++) {
            switch (m) {
                case 2:
                    number += 28;
                    break;
                case 4:
                case 6:
                case 9:
                case 11:
                    number += 30;
                    break;
                default:
                    number += 31;
            }
        }
        return number;
    }

    // year: 1900..2099
    static int dayOfEaster(int year) {
        int a = year % 19;
        int d = (19 * a + 24) % 30;
        int e = (2 * (year % 4) + 4 * (year % 7) + 6 * d + 5) % 7;
        int day = 22 + d + e;
        return day > 31 ? day - 31 : day;
    }

    // seconds: 0..90000
    static String clockText(int seconds) {
        int h = seconds / 3600;
        int m = seconds / 60 % 60;
        int s = seconds % 60;
        StringBuilder clock = new StringBuilder();
        int parts[] = {h, m, s};
        for (int i = 0; i < 3; i++) {
            if (i > 0)
                clock.append(':');
            if (parts[i] < 10)
                clock.append('0');
            clock.append(parts[i]);
        }
        return clock.toString();
    }

    // hour: 1..12; minute: 0..59
    static double angleOfClockHands(int hour, int minute) {
        double hourHand = 30.0 * (hour % 12) + minute / 2.0;
        double minuteHand = 6.0 * minute;
        double angle = Math.abs(hourHand - minuteHand);
        return Math.min(angle, 360 - angle);
    }

    // principal: 100.0..5000.0; rate: 0.5..9.5; years: 1..20
    static double compoundAmount(double principal, double rate, int years) {
        return principal * Math.pow(1 + rate / 100, years);
    }

    // principal: 100..5000; rate: 2..15
    static int yearsToDouble(int principal, int rate) {
        double amount = principal;
        int years = 0;
        while (amount < 2.0 * principal) {
            amount += amount * rate / 100;
            years++;
        }
        return years;
    }

    // loan: 1000.0..20000.0; yearly: 1.0..9.0; months: 6..60
    static double monthlyPayment(double loan, double yearly, int months) {
        double monthly = yearly / 1200;
        double factor = Math.pow(1 + monthly, months);
        return loan * monthly * factor / (factor - 1);
    }

    // income: 0..120000
    static double taxOnIncome(int income) {
        int limits[] = {10000, 30000, 70000, Integer.MAX_VALUE};
        double rates[] = {0.0, 0.15, 0.25, 0.4};
        double tax = 0;
        int low = 0;
        for (int i = 0; i < limits.length; i++) {
            if (income > low)
                tax += (Math.min(income, limits[i]) - low) * rates[i];
            low = limits[i];
        }
        return tax;
    }

    // cents: 1..999
    static int[] changeInCoins(int cents) {
        int coins[] = {200, 100, 50, 20, 10, 5, 2, 1};
        int counts[] = new int[coins.length];
        for (int i = 0; i < coins.length; i++) {
            counts[i] = cents / coins[i];
            cents %= coins[i];
        }
        return counts;
    }

    // price: 1.0..200.0; percent: 5..60
    static long discountedCents(double price, int percent) {
        double reduced = price * (100 - percent) / 100.0;
        return Math.round(reduced * 100);
    }

    // celsius: -40.0..45.0
    static double toFahrenheit(double celsius) {
        return celsius * 9 / 5 + 32;
    }

    // temperature: -10.0..10.0; wind: 5.0..60.0
    static int windChill(double temperature, double wind) {
        double power = Math.pow(wind, 0.16);
        double felt = 13.12 + 0.6215 * temperature - 11.37 * power + 0.3965 * temperature * power;
        return (int) Math.round(felt);
    }

    // weight: 45..110; height: 1.5..2.0
    static String bodyMassClass(int weight, double height) {
        double index = weight / (height * height);
        if (index < 18.5)
            return "under";
        else if (index < 25)
            return "normal";
        return index < 30 ? "over" : "obese";
    }

    // score: 0..100
    static char letterGrade(int score) {
        if (score >= 90)
            return 'A';
        if (score < 50)
            return 'F';
        return (char) ('D' - (score - 50) / 14);
    }

    // minutes: 1..1500; night: true | false
    static int parkingFee(int minutes, boolean night) {
        int hours = (int) Math.ceil(minutes / 60.0);
        int fee = hours <= 1 ? 2 : 2 + (hours - 1) * 3;
        if (night)
            fee = Math.min(fee, 10);
        return Math.min(fee, 25);
    }

    // liters: 1.0..60.0; kilometers: 20..900
    static double litersPerHundred(double liters, int kilometers) {
        double exact = liters / kilometers * 100;
        return (int) (exact * 10) / 10.0;
    }

    // distance: 1..500; speedA: 40..90; speedB: 40..90
    static double hoursUntilMeeting(int distance, int speedA, int speedB) {
        return (double) distance / (speedA + speedB);
    }

    // start: 0..50; times: 3..8 of -9..9
    static int lowestBalance(int start, int times[]) {
        int balance = start;
        int lowest = Integer.MAX_VALUE;
        for (int change : times) {
            balance += change;
            if (balance < lowest)
                lowest = balance;
        }
        return lowest;
    }

    // floors: 2..8 of 0..20
    static int floorsTravelled(int floors[]) {
        int travelled = 0;
        int now = 0;
        for (int i = 0; i < floors.length; i++) {
            travelled += Math.abs(floors[i] - now);
            now = floors[i];
        }
        return travelled;
    }

    // frames: 10..16 of 0..5
    static int scoreWithBonusForFives(int frames[]) {
        int score = 0;
        int roll = 0;
        while (roll + 2 < frames.length) {
            int pins = frames[roll] + frames[roll + 1];
            score += pins;
            if (pins == 5)
                score += frames[roll + 2];
            roll += 2;
        }
        return score;
    }

    // a: 1..6; b: 1..6; c: 1..6
    static int diceGamePoints(int a, int b, int c) {
        if (a == b && b == c)
            return 100 * a;
        if (a == b || a == c)
            return 10 * a;
        if (b == c)
            return 10 * b;
        return a + b + c;
    }

    // seed: 1..100000; n: 1..12
    static int[] pseudoRandomNumbers(int seed, int n) {
        long state = seed;
        int numbers[] = new int[n];
        for (int i = 0; i < n; i++) {
            state = (state * 1103515245L + 12345) % 2147483648L;
            numbers[i] = (int) (state % 100);
        }
        return numbers;
    }

    // population: 100..900; percent: 1.0..9.0; visitors: 5..40; goal: 950..3000
    static int yearsToReach(int population, double percent, int visitors, int goal) {
        int years = 0;
        while (population < goal) {
            population += (int) (population * percent / 100) + visitors;
            years++;
        }
        return years;
    }

    // bottles: 1..60; exchange: 2..6
    static int bottlesDrunk(int bottles, int exchange) {
        int drunk = bottles;
        int empty = bottles;
        while (empty >= exchange) {
            int fresh = empty / exchange;
            drunk += fresh;
            empty = empty % exchange + fresh;
        }
        return drunk;
    }

    // doors: 1..80
    static int openDoorsAfterRounds(int doors) {
        boolean open[] = new boolean[doors + 1];
        for (int round = 1; round <= doors; round++)
            for (int d = round; d <= doors; d += round)
                open[d] = !open[d];
        int count = 0;
        for (int d = 1; d <= doors; d++)
            if (open[d])
                count += d;
        return count;
    }

    // height: 5..60; up: 3..7; down: 1..2
    static int daysOfTheSnail(int height, int up, int down) {
        int position = 0;
        int days = 0;
        while (true) {
            days++;
            position += up;
            if (position >= height)
                return days;
            position -= down;
        }
    }
}
