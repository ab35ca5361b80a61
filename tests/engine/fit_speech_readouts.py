"""Fit the read-outs of `speech_features` to synthetic speech with known phonemes.

    python -m tests.engine.fit_speech_readouts

Each read-out is a logistic regression on the levels of nine bands within 80 ms, with as much weight
for its phonemes as for all others. The speech is espeak-ng's in four languages and flite's, whose
voices were built from recordings (`apt-get install espeak-ng flite`). The sentences are not those
of `test_speech_features.py`.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photoanimer_async.engine import speech_features
from photoanimer_async.engine.lip_closure import in_context
from photoanimer_async.engine.speech_features import OPEN, ROUNDED, BandEnergies

from ..support.speech_synthesis import FLITE_VOICES, RATE, Speech, flite, speak

EDGES = [80, 300, 550, 850, 1250, 1800, 2600, 3800, 5500, 8000]
OFFSETS = [-8, -5, -3, -1, 1, 3, 5, 8]
REGULARISATION = 100.0
QUIETEST = -50.0

SENTENCES = {
    "en-us": (
        "My brother Tom bought two blue boats and a big purple umbrella before the storm.",
        "Maybe people remember how the small boy jumped from the bridge into the warm pool.",
        "Please put the paper back on the table, mother, and bring me some good soup.",
        "Who knew the moon could move so smoothly above the old town?",
        "Peter Piper picked a peck of pickled peppers.",
        "We will be home by noon, so open the door and keep the lamp burning.",
    ),
    "de": (
        "Meine Mutter baut ein großes Boot und malt es morgen blau an.",
        "Der Papa bringt am Abend immer Obst und Brot mit nach Hause.",
        "Du musst gut zuhören, wenn der Mond so schön über dem Baum steht.",
        "Bitte gib mir noch ein Pfund Butter und den Pullover aus dem Schrank.",
        "Im Park spielen viele kleine Buben mit dem Ball.",
    ),
    "fr": (
        "Bonjour, ma petite poupée, tu veux boire un peu de bon café au bord de la mer?",
        "Mon ami Paul a mangé beaucoup de pommes avant de partir pour Paris.",
        "Le beau bateau rouge tourne autour du port depuis midi.",
        "Nous avons trouvé un trou dans le mur au bout de la rue.",
        "Maman prépare une bonne soupe pour tout le monde.",
    ),
    "es": (
        "Mi bebé compra un pan bueno y una manzana para mamá.",
        "Pablo baila muy bien en la playa con su amigo Pedro.",
        "El hombre más pobre del pueblo come poco, pero canta mucho.",
        "Todos los lunes voy al mercado a buscar uvas y un poco de humo.",
        "Una mariposa blanca vuela por encima del puente.",
    ),
}
VARIANTS = ("", "+f3", "+m7")

KINDS = {
    ROUNDED: "o u ʊ ɔ ø y œ oɪ ɔɪ oʊ ɔ̃ ɔɹ oɹ w ow uw uh ao oy",  # noqa: RUF001 - phonetic alphabet
    OPEN: "a ɑ æ ɐ aɪ aʊ ɑ̃ aa ae aw ay",  # noqa: RUF001 - phonetic alphabet
    "spread": "i ɪ e ɛ eɪ ᵻ j iy ih ey eh",  # noqa: RUF001 - phonetic alphabet
    "middle": "ə ɜ ɚ ʌ əl œ̃ ax er ah",
}
VOWELS = [ROUNDED, OPEN, "spread", "middle"]


def main() -> None:
    """Fit all read-outs, and write the file that the engine reads."""
    weights = {name: fitted.tolist() for name, fitted in fit(corpus()).items()}
    file = Path(speech_features.__file__).parent / "weights" / "speech_readouts.json"
    stored = {"edges": EDGES, "offsets": OFFSETS, "weights": weights}
    file.write_text(json.dumps(stored) + "\n", "utf-8")


def corpus() -> list[Speech]:
    """Return all sentences, spoken by all voices."""
    spoken = [
        speak(text, language + variant)
        for language, texts in SENTENCES.items()
        for variant in VARIANTS
        for text in texts
    ]
    return spoken + [flite(text, v) for v in FLITE_VOICES for text in SENTENCES["en-us"]]


def fit(spoken: list[Speech]) -> dict[str, NDArray[np.float64]]:
    """Return the weights of each read-out, shape (offsets, bands)."""
    examples = [labelled(speech) for speech in spoken]
    levels = np.concatenate([each[0] for each in examples])
    kinds = np.concatenate([each[1] for each in examples])
    vowels = np.isin(kinds, VOWELS)
    fitted = {
        ROUNDED: logistic_regression(levels[vowels], kinds[vowels] == ROUNDED),
        OPEN: logistic_regression(levels[vowels], kinds[vowels] == OPEN),
    }
    return {name: w.reshape(len(OFFSETS), -1).round(2) for name, w in fitted.items()}


def labelled(speech: Speech) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Return band levels in context, and the kind of phoneme, of each measurement in speech."""
    bands = BandEnergies.measure(speech.samples, RATE)
    levels, decibels = bands.levels(EDGES), bands.relative_decibels()
    kinds = np.full(len(levels), "", "U8")
    for phoneme in speech.phonemes:
        name = phoneme.name.replace("\N{MODIFIER LETTER TRIANGULAR COLON}", "").replace("-", "")
        kind = next((kind for kind, names in KINDS.items() if name in names.split()), "other")
        kinds[round(phoneme.start * 100) : round(phoneme.end * 100)] = kind if name else ""
    used = (kinds != "") & (decibels > QUIETEST)
    return in_context(levels, np.array(OFFSETS))[used], kinds[used]


def logistic_regression(
    levels: NDArray[np.float64], positive: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return weights, shape (k,), by Newton's method, with both classes of equal weight."""
    scale = levels.std(axis=0) + 0.02
    inputs = np.column_stack([(levels - levels.mean(axis=0)) / scale, np.ones(len(levels))])
    importance = np.where(positive, 0.5 / positive.mean(), 0.5 / (1 - positive.mean()))
    penalty = np.full(inputs.shape[1], REGULARISATION)
    penalty[-1] = 1e-6
    weights = np.zeros(inputs.shape[1])
    for _ in range(25):
        predicted = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        gradient = inputs.T @ (importance * (predicted - positive)) + penalty * weights
        curvature = importance * predicted * (1 - predicted)
        hessian = (inputs * curvature[:, None]).T @ inputs + np.diag(penalty)
        weights -= np.linalg.solve(hessian, gradient)
    return np.asarray(weights[:-1] / scale)


if __name__ == "__main__":
    main()
