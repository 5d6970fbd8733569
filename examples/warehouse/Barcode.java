package warehouse;

/** Barcodes on incoming goods. */
public final class Barcode {
    private Barcode() {}

    /** Whether the last digit of an EAN-13 is the one the other twelve demand. */
    public static boolean isValidEan(String code) {
        if (code.length() != 13) {
            return false;
        }
        int weighted = 0;
        for (int i = 0; i < 12; i++) {
            int digit = Character.digit(code.charAt(i), 10);
            if (digit < 0) {
                return false;
            }
            weighted += i % 2 == 0 ? digit : 3 * digit;
        }
        int expected = (10 - weighted % 10) % 10;
        return Character.digit(code.charAt(12), 10) == expected;
    }
}
