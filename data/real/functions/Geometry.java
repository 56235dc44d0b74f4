import java.util.*;

class Geometry {
    // x1: -9..9; y1: -9..9; x2: -9..9; y2: -9..9
    static double distanceBetween(int x1, int y1, int x2, int y2) {
        double dx = Math.pow(x1 - x2, 2);
        double dy = Math.pow(y1 - y2, 2);
        return Math.sqrt(dx + dy);
    }

    // x: 3..6 of -9..9; y: 6 of -9..9
    static double polygonArea(int x[], int y[]) {
        int n = x.length;
        int twice = 0;
        for (int i = 0; i < n; i++) {
            int j = (i + 1) % n;
            twice += x[i] * y[j] - x[j] * y[i];
        }
        return Math.abs(twice) / 2.0;
    }

    // x: 3..6 of -9.0..9.0; y: 6 of -9.0..9.0
    static double closedPathLength(double x[], double y[]) {
        double length = 0;
        for (int i = 0; i < x.length; i++) {
            int next = i + 1 == x.length ? 0 : i + 1;
            length += Math.hypot(x[next] - x[i], y[next] - y[i]);
        }
        return length;
    }

    // a: 3..12; b: 3..12; c: 3..15
    static String kindOfTriangle(int a, int b, int c) {
        int sides[] = {a, b, c};
        Arrays.sort(sides);
        if (sides[0] + sides[1] <= sides[2])
            return "none";
        int legs = sides[0] * sides[0] + sides[1] * sides[1];
        int longest = sides[2] * sides[2];
        if (legs == longest)
            return "right";
        return legs > longest ? "acute" : "obtuse";
    }

    // a: 5.0..9.0; b: 5.0..9.0; c: 4.0..9.0
    static double triangleAreaFromSides(double a, double b, double c) {
        double s = (a + b + c) / 2;
        return Math.sqrt(s * (s - a) * (s - b) * (s - c));
    }

    // radius: 0.5..9.0; height: 1.0..12.0
    static double surfaceOfCylinder(double radius, double height) {
        double caps = 2 * Math.PI * radius * radius;
        double side = 2 * Math.PI * radius * height;
        return caps + side;
    }

    // r: 1..25
    static int latticePointsInCircle(int r) {
        int points = 0;
        for (int x = -r; x <= r; x++) {
            int y = (int) Math.sqrt(r * r - x * x);
            points += 2 * y + 1;
        }
        return points;
    }

    // sides: 3..12; length: 1.0..9.0
    static double regularPolygonArea(int sides, double length) {
        return sides * length * length / (4 * Math.tan(Math.PI / sides));
    }

    // ax: 0..6; ay: 0..6; aw: 2..6; ah: 2..6; bx: 0..8; by: 0..8; bw: 2..6; bh: 2..6
    static int overlapOfRectangles(int ax, int ay, int aw, int ah, int bx, int by, int bw, int bh) {
        int width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
        int height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
        if (width <= 0 || height <= 0)
            return 0;
        return width * height;
    }

    // px: 0..8; py: 0..8; cx: 0..8; cy: 0..8; r: 2..6
    static boolean isInsideCircle(int px, int py, int cx, int cy, int r) {
        int dx = px - cx;
        int dy = py - cy;
        return dx * dx + dy * dy < r * r;
    }

    // ax: -5..5; ay: -5..5; bx: -5..5; by: -5..5; px: -5..5; py: -5..5
    static String sideOfLine(int ax, int ay, int bx, int by, int px, int py) {
        long cross = (long) (bx - ax) * (py - ay) - (long) (by - ay) * (px - ax);
        if (cross == 0)
            return "on";
        return cross > 0 ? "left" : "right";
    }

    // xs: 3..6 of -20..20; ys: 6 of -20..20
    static double closestPairDistance(int xs[], int ys[]) {
        double best = Double.MAX_VALUE;
        for (int i = 0; i < xs.length; i++) {
            for (int j = i + 1; j < xs.length; j++) {
                int dx = xs[i] - xs[j];
                int dy = ys[i] - ys[j];
                best = Math.min(best, Math.sqrt(dx * dx + dy * dy));
            }
        }
        return best;
    }

    // degrees: -720..720
    static int quadrantOfAngle(int degrees) {
        int angle = ((degrees % 360) + 360) % 360;
        if (angle % 90 == 0)
            return 0;
        return angle / 90 + 1;
    }

    // x: -5.0..5.0; y: -5.0..5.0; degrees: 10..350
    static double[] rotatedPoint(double x, double y, int degrees) {
        double angle = degrees * Math.PI / 180;
        double result[] = new double[2];
        result[0] = x * Math.cos(angle) - y * Math.sin(angle);
        result[1] = x * Math.sin(angle) + y * Math.cos(angle);
        return result;
    }

    // latA: -60.0..60.0; lonA: -170.0..170.0; latB: -60.0..60.0; lonB: -170.0..170.0
    static double greatCircleKilometers(double latA, double lonA, double latB, double lonB) {
        double radius = 6371.0;
        double a = Math.toRadians(latA);
        double b = Math.toRadians(latB);
        double cosine = Math.sin(a) * Math.sin(b) + Math.cos(a) * Math.cos(b) * Math.cos(Math.toRadians(lonA - lonB));
        return radius * Math.acos(Math.max(-1.0, Math.min(1.0, cosine)));
    }

    // a: 1..5; b: -9..9; c: -9..6
    static double[] quadraticRoots(int a, int b, int c) {
        double roots[] = new double[2];
        int d = b * b - 4 * a * c;
        if (d >= 0) {
            double root = Math.sqrt((double) d);
            roots[0] = (-b - root) / (2 * a);
            roots[1] = (-b + root) / (2 * a);
        }
        return roots;
    }

    // x0: 0..6; y0: 0..6; x1: 7..12; y1: 6..9
    static int cellsOnDrawnLine(int x0, int y0, int x1, int y1) {
        int dx = Math.abs(x1 - x0), dy = -Math.abs(y1 - y0);
        int error = dx + dy;
        int checksum = 0;
        while (true) {
            checksum += x0 * 10 + y0;
            if (x0 == x1 && y0 == y1)
                break;
            int doubled = 2 * error;
            if (doubled >= dy) {
                error += dy;
                x0 += x0 < x1 ? 1 : -1;
            }
            if (doubled <= dx) {
                error += dx;
                y0 += y0 < y1 ? 1 : -1;
            }
        }
        return checksum;
    }
}
