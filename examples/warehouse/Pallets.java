package warehouse;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Loading parcels onto pallets. */
public final class Pallets {
    private Pallets() {}

    /** How many pallets are needed if each heavy parcel goes onto the first pallet that still bears it. */
    public static int needed(List<Integer> parcelKilos, int palletKilos) {
        List<Integer> parcels = new ArrayList<>(parcelKilos);
        parcels.sort(Collections.reverseOrder());
        List<Integer> remaining = new ArrayList<>();
        for (int kilos : parcels) {
            if (kilos > palletKilos) {
                throw new IllegalArgumentException("a parcel of " + kilos + " kg fits onto no pallet");
            }
            int pallet = 0;
            while (pallet < remaining.size() && remaining.get(pallet) < kilos) {
                pallet++;
            }
            if (pallet == remaining.size()) {
                remaining.add(palletKilos);
            }
            remaining.set(pallet, remaining.get(pallet) - kilos);
        }
        return remaining.size();
    }
}
