"""Fit the network of `lip_closure` to synthetic speech with known phonemes.

    python -m tests.engine.fit_lip_closure
    python -m tests.engine.fit_lip_closure --validate

Trained by Adam on the cross-entropy of five kinds of sound, with more weight for lips. Each
sentence is heard three times, with noise and colouration as microphones add them. The speech is
espeak-ng's in nine languages, and flite's, which was made from recordings and counts three times.
`--validate` leaves out each language of `test_speech_features.py` in turn, with every voice that
speaks it, and prints what its test measures; nothing is written.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import lip_closure
from photoanimer_async.engine.lip_closure import LIPS, LipClosure, in_context
from photoanimer_async.engine.speech_features import BandEnergies

from ..support.speech_synthesis import FLITE_VOICES, RATE, Speech, flite, speak
from .fit_speech_readouts import QUIETEST, SENTENCES
from .test_speech_features import LANGUAGES, measure

Floats = NDArray[np.float32]

SILENCE, TONGUE, CONSONANT, VOWEL = 0, 2, 3, 4
BANDS = 12
LOWEST, HIGHEST = 100, 8000
OFFSETS = range(-12, 13, 2)
UNITS = 40
EPOCHS, BATCH, RATE_OF_LEARNING, DECAY = 4, 256, 3e-3, 1e-3
COPIES, RECORDED = 3, 3
IMPORTANCE = np.array([1, 3, 1.5, 1, 1], np.float32)
VARIANTS = ("", "+f3", "+m7", "+f5", "+m1", "+m4", "+f1")

MORE_SENTENCES = {
    "en-us": (
        "The doctor asked the tired driver to take the old dog to the garden.",
        "Katie could not decide which cake to take to the dinner at ten o'clock.",
        "Good cooks get their dishes ready and taste the sauce again and again.",
        "He told the kids a story that night, then turned the lights down low.",
        "A giant duck looked at the lake and then attacked the guard's coat.",
        "Let us see how you feel after a long day in the cold northern rain.",
    ),
    "de": (
        "Der Doktor kauft dem Kind die dicke Decke und trinkt Kaffee im Garten.",
        "Gestern ging die Tante in die Stadt und suchte eine neue Tasche.",
        "Keiner denkt gerne daran, denn der Tag geht zu Ende.",
        "Dort drüben liegt das gute alte Radio neben der Gitarre.",
        "Kein Gast hat die grüne Gurke gegessen, sagt Dieter.",
    ),
    "fr": (
        "Le docteur a donné une tarte à la directrice du grand théâtre.",
        "Quand il était à côté du canal, il a regardé les canards gris.",
        "Ton gâteau est très goûteux, dit la tante de Denis.",
        "Qui a gagné cette course cet été, le gars du quartier ou toi?",
        "Donne-lui un carnet de dessin et cinq crayons de couleur.",
    ),
    "es": (
        "El gato de Diego duerme tranquilo en la casa de la tía.",
        "Todos dicen que el doctor canta y toca la guitarra cada tarde.",
        "Quiero decirte que tengo los dientes sanos gracias a ti.",
        "Cuatro soldados sacaron agua del lago con sus cascos.",
        "La gente que llega tarde no tiene lugar en el teatro.",
    ),
    "it": (
        "Mio padre beve un bicchiere d'acqua prima di partire per il mare.",
        "La gatta di Carla dorme tutta la giornata sotto il tavolo grande.",
        "Domani compriamo pane, burro e un po' di prosciutto al mercato.",
        "Tutti dicono che il cuoco canta quando taglia le cipolle.",
        "Il bambino biondo porta una palla rossa e una piccola bambola.",
        "Dove andate di corsa con quei cani e quelle galline?",
    ),
    "pt": (
        "A minha mãe comprou um bolo bonito para a festa do Pedro.",
        "O gato da tia Gabriela dorme todo o dia debaixo da cadeira.",
        "Quando tocam a campainha, o cão corre até ao portão.",
        "Papai trabalha no campo e bebe muita água fria.",
        "Todos os domingos comemos batata, pimenta e um pouco de milho.",
    ),
    "nl": (
        "Mijn broer bouwt een mooie boot en maakt hem morgen blauw.",
        "De dokter gaat dinsdag naar de stad en koopt een dikke deken.",
        "Kun je dat kind een kop koude thee geven, Dirk?",
        "Bij de pomp speelt een blij paard met een bal.",
        "Tante Trudy danst de hele nacht door in de tuin.",
    ),
    "pl": (
        "Moja mama kupiła dobry pomidor i butelkę mleka na bazarze.",
        "Kto kocha koty, ten daje im dużo jedzenia każdego dnia.",
        "Babcia pamięta piękne bajki o małym psie.",
        "Teraz tata gra na gitarze, a dzieci tańczą dookoła domu.",
    ),
    "sv": (
        "Min bror bygger en blå båt och målar den i morgon.",
        "Doktorn tog en kaka och drack kaffe i trädgården.",
        "Pappa och mamma plockar bär på berget bakom bron.",
        "Det duger inte att gå ut i den kalla natten, sade Gunnar.",
    ),
}

LETTERS = {
    LIPS: "m b p",
    TONGUE: "t d k ɡ g n ŋ ɲ ng ɾ tʃ dʒ ts c ch jh",  # noqa: RUF001 - phonetic alphabet
    VOWEL: "aa ae ah ao aw ax ay eh er ey ih iy ow oy uh uw",
}
VOWELS = tuple("aeiouyɪʊɔɑæɐɛəɜʌøœɚᵻɨ")  # noqa: RUF001 - phonetic alphabet


@frozen(eq=False)
class Example:
    """A sentence: where it is from, its levels in context, and the kind of each measurement."""

    language: str
    inputs: Floats
    kinds: NDArray[np.int64]


def main() -> None:
    """Fit the network, and write the file that the engine reads; or validate it."""
    examples = list(heard())
    if "--validate" in sys.argv:
        for language in LANGUAGES:
            network = fitted([each for each in examples if each.language != language])
            with mock.patch.object(LipClosure, "load", return_value=network):
                sys.stdout.write(f"{language}: {measure(language).summary}\n")
        return
    network = fitted(examples)
    file = Path(lip_closure.__file__).parent / "weights" / "lip_closure.npz"
    np.savez_compressed(
        file, edges=network.edges, offsets=network.offsets.astype(np.int8),
        hidden=network.hidden.astype(np.float16), kinds=network.kinds.astype(np.float16),
    )  # fmt: skip


def edges() -> Floats:
    """Return the edges of the bands, of equal width on the mel scale, in Hz."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST, HIGHEST))
    mel = np.linspace(low, high, BANDS + 1)
    return np.asarray(700 * (10 ** (mel / 2595) - 1), np.float32)


def heard() -> Iterator[Example]:
    """Yield all sentences, spoken by all voices, as microphones record them."""
    for copy in range(COPIES):
        rng = np.random.default_rng(copy + 1)
        for language, texts in MORE_SENTENCES.items():
            for text in (*SENTENCES.get(language, ()), *texts):
                for variant in VARIANTS:
                    yield example(language, speak(text, language + variant), rng)
        for text in SENTENCES["en-us"] + MORE_SENTENCES["en-us"]:
            for voice in FLITE_VOICES * RECORDED:
                yield example("en-us", flite(text, voice), rng)


def example(language: str, speech: Speech, rng: np.random.Generator) -> Example:
    """Return what is measured of speech, half of the time with noise."""
    samples = speech.samples
    if rng.random() < 0.5:
        noise = np.abs(samples).max() * 10 ** (rng.uniform(-55, -30) / 20)
        samples = samples + np.float32(noise) * rng.standard_normal(len(samples), np.float32)
    bands = BandEnergies.measure(samples, RATE)
    levels, across = bands.levels(edges().tolist()), np.linspace(-1, 1, BANDS)
    levels = levels + rng.normal(0, 0.4) * across + rng.normal(0, 0.3) * across**2
    kinds = np.full(len(levels), SILENCE)
    for phoneme in speech.phonemes:
        kinds[round(phoneme.start * 100) : round(phoneme.end * 100)] = kind_of(phoneme.name)
    used = (kinds == SILENCE) | (bands.relative_decibels() > QUIETEST)
    inputs = in_context(np.maximum(levels, -6), np.array(OFFSETS))
    return Example(language, inputs[used].astype(np.float32), kinds[used])


def kind_of(phoneme: str) -> int:
    """Return the kind of a phoneme of espeak-ng or flite."""
    name = phoneme.replace("\N{MODIFIER LETTER TRIANGULAR COLON}", "").replace("-", "")
    if name in ("", "pau"):
        return SILENCE
    for kind, names in LETTERS.items():
        if name in names.split():
            return kind
    return VOWEL if name.startswith(VOWELS) else CONSONANT


def fitted(examples: list[Example]) -> LipClosure:
    """Return the network, trained on examples."""
    inputs = np.concatenate([each.inputs for each in examples])
    kinds = np.concatenate([each.kinds for each in examples])
    middle, scale = inputs.mean(axis=0), inputs.std(axis=0) + np.float32(0.05)
    hidden, last = trained((inputs - middle) / scale, kinds)
    hidden[:-1] /= scale[:, None]
    hidden[-1] -= middle @ hidden[:-1]
    return LipClosure(edges(), np.array(OFFSETS), hidden, last)


def trained(inputs: Floats, kinds: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the weights of both layers, with the biases last, by Adam with a cosine schedule."""
    rng = np.random.default_rng(0)
    count, width = inputs.shape
    weights = [
        np.vstack([rng.normal(0, size**-0.5, (size, units)), np.zeros(units)]).astype(np.float32)
        for size, units in ((width, UNITS), (UNITS, len(IMPORTANCE)))
    ]
    means, squares = ([np.zeros_like(each) for each in weights] for _ in range(2))
    steps, step = EPOCHS * (count // BATCH), 0
    for _ in range(EPOCHS):
        for chosen in np.array_split(rng.permutation(count), count // BATCH):
            step += 1
            rate = RATE_OF_LEARNING * (1 + np.cos(np.pi * step / steps)) / 2
            gradients = gradient(weights, inputs[chosen], kinds[chosen])
            for at, slope in enumerate(gradients):
                means[at] += 0.1 * (slope - means[at])
                squares[at] += 0.001 * (slope**2 - squares[at])
                root = np.sqrt(squares[at] / (1 - 0.999**step)) + 1e-8
                weights[at] -= np.float32(rate) * means[at] / np.float32(1 - 0.9**step) / root
    return weights[0], weights[1]


def gradient(weights: list[Floats], inputs: Floats, kinds: NDArray[np.int64]) -> list[Floats]:
    """Return the slope of the mean cross-entropy by the weights of each layer."""
    units = np.tanh(inputs @ weights[0][:-1] + weights[0][-1])
    scores = units @ weights[1][:-1] + weights[1][-1]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True) - np.eye(len(IMPORTANCE))[kinds]
    error = (error * IMPORTANCE[kinds][:, None] / len(kinds)).astype(np.float32)
    inner = error @ weights[1][:-1].T * (1 - units**2)
    slopes = []
    for layer, values, errors in ((weights[0], inputs, inner), (weights[1], units, error)):
        decayed = values.T @ errors + np.float32(DECAY) * layer[:-1]
        slopes.append(np.vstack([decayed, errors.sum(axis=0)]))
    return slopes


if __name__ == "__main__":
    main()
