//! English stop words and stemming.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

/// Stop words. `may` is not among them because it is a month.
const STOP_WORDS: &str = "
    a about above after again against all am an and any are arent as at be because been before being below between
    both but by can cannot cant could couldnt did didnt do does doesnt doing done dont down during each either else
    ever every few for from further had hadnt has hasnt have havent having he her here hers herself him himself his
    how i id if ill im in into is isnt it its itself ive just me might more most must mustnt my myself neither no
    nor not now of off on once only or other our ours ourselves out over own same shall shant she should shouldnt so
    some such than that thats the their theirs them themselves then there these they theyre theyve this those
    through to too under until up us very was wasnt we were werent weve what whatever when where which while who
    whom whose why will with wont would wouldnt yet you your youre yours yourself yourselves youve
";

/// Irregular forms, after each base. Forms that are words of their own too (`rose`, `wound`, `lives`) are left out.
const IRREGULAR: &str = "
    arise: arose arisen; awake: awoke awoken; become: became; begin: began begun; bend: bent; bleed: bled; blow:
    blew blown; break: broke broken; breed: bred; bring: brought; build: built; burn: burnt; buy: bought; catch:
    caught; choose: chose chosen; cling: clung; come: came; creep: crept; deal: dealt; dig: dug; draw: drew drawn;
    dream: dreamt; drink: drank drunk; drive: drove driven; eat: ate eaten; fall: fell fallen; feed: fed; feel:
    felt; fight: fought; find: found; flee: fled; fly: flew flown; forbid: forbade forbidden; forget: forgot
    forgotten; forgive: forgave forgiven; freeze: froze frozen; get: got gotten; give: gave given; go: went gone;
    grow: grew grown; hang: hung; hear: heard; hide: hid hidden; hold: held; keep: kept; kneel: knelt; know: knew
    known; lay: laid; lead: led; leap: leapt; learn: learnt; leave: left; lend: lent; lie: lain; light: lit; lose:
    lost; make: made; mean: meant; meet: met; mistake: mistook mistaken; overcome: overcame; pay: paid; prove:
    proven; rebuild: rebuilt; ride: rode ridden; ring: rang rung; rise: risen; run: ran; say: said; see: saw seen;
    seek: sought; sell: sold; send: sent; sew: sewn; shake: shook shaken; shine: shone; shoot: shot; show: shown;
    shrink: shrank shrunk; sing: sang sung; sink: sank sunk; sit: sat; sleep: slept; slide: slid; speak: spoke
    spoken; speed: sped; spend: spent; spin: spun; spring: sprang sprung; stand: stood; steal: stole stolen; stick:
    stuck; sting: stung; strike: struck stricken; strive: strove striven; swear: swore sworn; sweep: swept; swim:
    swam swum; swing: swung; take: took taken; teach: taught; tear: tore torn; tell: told; think: thought; throw:
    threw thrown; undergo: underwent undergone; understand: understood; undertake: undertook undertaken; wake: woke
    woken; wear: wore worn; weave: wove woven; weep: wept; win: won; withdraw: withdrew withdrawn; write: wrote
    written; calf: calves; child: children; foot: feet; goose: geese; half: halves; knife: knives; loaf: loaves;
    man: men; mouse: mice; person: people; scarf: scarves; shelf: shelves; thief: thieves; tooth: teeth; wife:
    wives; wolf: wolves; woman: women
";

static STOP: LazyLock<HashSet<&str>> = LazyLock::new(|| STOP_WORDS.split_whitespace().collect());

static BASES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let entries = IRREGULAR.split(';').filter_map(|entry| entry.split_once(':'));
    entries.flat_map(|(base, forms)| forms.split_whitespace().map(move |form| (form, base.trim()))).collect()
});

/// Whether `word` is a stop word.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP.contains(word)
}

/// Number of significant letters of a stem: where the endings of many languages begin.
const STEM: usize = 6;

/// The stem that the forms of a word share: the first letters of what is left without its English endings. A word with
/// digits is left unchanged.
pub(super) fn stem(word: &str) -> String {
    if word.contains(char::is_numeric) {
        return word.to_owned();
    }
    uncut_stem(word).chars().take(STEM).collect()
}

/// The whole stem.
pub(in super::super) fn uncut_stem(word: &str) -> String {
    if !word.bytes().all(|b| b.is_ascii_alphabetic()) {
        return word.to_owned();
    }
    let base = BASES.get(word).copied().unwrap_or(word);
    Stemmer::create(Algorithm::English).stem(base).into_owned()
}
