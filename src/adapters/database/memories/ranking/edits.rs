//! Edit distance.

/// Whether inserting, deleting or replacing one letter, or swapping two neighbours, turns one term into the other.
pub(in super::super) fn is_one_edit_away(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if long.len() - short.len() > 1 || short == long {
        return false;
    }
    let same = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    if short.len() < long.len() {
        return short[same..] == long[same + 1..];
    }
    let swapped = || {
        same + 1 < short.len()
            && short[same] == long[same + 1]
            && short[same + 1] == long[same]
            && short[same + 2..] == long[same + 2..]
    };
    short[same + 1..] == long[same + 1..] || swapped()
}
