"""What a mouth does with real words: speech of espeak-ng, against the phonemes it reports."""

import numpy as np
import pytest
from attrs import define, field
from numpy.typing import NDArray

from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.curves import FRAME_RATE
from photoanimer_async.engine.speech import RATE, Sound, voice_motion
from photoanimer_async.engine.speech_features import SpeechFeatures

from ..support.speech_synthesis import FLITE_VOICES, Phoneme, Speech, flite, speak

Curve = NDArray[np.float64]

# None of these sentences was used to fit the read-outs, and neither were these voices.
SENTENCES = {
    "en-us": (
        "Bob and Emma jumped over the pool, put on their boots and moved to the old boathouse.",
        "A bumper crop of tomatoes made my uncle proud, so he painted a poster in blue.",
    ),
    "de": (
        "Am Montag probieren Mama und Opa Brombeeren und Pudding vom Bauernhof.",
        "Ein paar Buben toben oben am Boden und rufen immer nach ihrem Pony.",
    ),
    "fr": (
        "Pauline a mis du beurre et du miel sur une pomme, puis elle a bu un bol de soupe.",
        "Tout le monde court vers la boutique pour voir le bijou rouge de ma poupée.",
    ),
    "es": (
        "Mi primo compra tomates y pimientos, pero nunca prueba la sopa de mi abuelo.",
        "Un lobo mojado come uvas por todo el mundo y bebe mucho jugo puro.",
    ),
}
TONGUE_SENTENCES = {
    "en-us": (
        "Dad decided to cook a duck and two eggs, and then he cut the old oak tree at ten.",
        "Kate and Doug got a ticket to the great city at eight o'clock today.",
    ),
    "de": (
        "Die Katze der Tante trinkt gerne Tee und denkt an den Garten von gestern.",
        "Guten Tag, Doktor Geiger, der Kuchen und die Torte stehen dort auf der Decke.",
    ),
    "fr": (
        "Tu dois du thé à tante Colette, qui goûte ton gâteau de côté.",
        "Didier quitte le quai et court derrière ce gros cadeau doré.",
    ),
    "es": (
        "Tu gata toca cada dado que cae de la cuna y da la cola a Diego.",
        "Cada tarde Carlos coge el coche y conduce desde Toledo hasta Cádiz.",
    ),
}
VARIANTS = ("+m3", "+f2")
LANGUAGES = sorted(SENTENCES)

GAP = {"jawOpen": 0.30, "mouthUpperUp": 0.07, "mouthLowerDown": 0.07}
"""What the blendshapes open between the lips at their middle, in u."""

LIPS_MEET = 0.02
"""Gap in u, above that in the photo, at which lips are seen to meet."""

LIPS, TONGUE = ("m", "b", "p"), ("t", "d", "k", "ɡ", "g")  # noqa: RUF001 - phonetic alphabet

VOWELS = {
    "rounded": ("o", "u", "ʊ", "ɔ", "oʊ"),
    "open": ("a", "ɑ", "æ", "ɐ", "aɪ", "aʊ"),  # noqa: RUF001 - phonetic alphabet
    "spread": ("i", "ɪ", "e", "ɛ", "eɪ"),  # noqa: RUF001 - phonetic alphabet
}
ALL_VOWELS = {vowel for vowels in VOWELS.values() for vowel in vowels}


SILENCE = Phoneme("", 0.0, 0.0)


@define
class Measures:
    """What was measured of the phonemes of one language."""

    met: list[bool] = field(factory=list)
    met_in_vain: list[bool] = field(factory=list)
    vowels_shut: list[bool] = field(factory=list)
    pucker: dict[str, list[float]] = field(factory=lambda: {kind: [] for kind in VOWELS})
    gap: dict[str, list[float]] = field(factory=lambda: {kind: [] for kind in VOWELS})
    envelope: list[float] = field(factory=list)

    @property
    def summary(self) -> str:
        return (
            f"lips meet at {np.mean(self.met):.0%} of {len(self.met)} m, b, p and at "
            f"{np.mean(self.met_in_vain):.0%} of {len(self.met_in_vain)} t, d, k, g; "
            f"shut in {np.mean(self.vowels_shut):.0%} of vowels; "
            f"correlation with the envelope {np.mean(self.envelope):.2f}"
        )


def measure(language: str) -> Measures:
    measures = Measures()
    for text in SENTENCES[language] + TONGUE_SENTENCES[language]:
        for variant in VARIANTS:
            add(measures, speak(text, language + variant))
    return measures


def add(measures: Measures, speech: Speech) -> None:
    moved = voice_motion(Sound(speech.samples[None]), seed=1)
    curves = {name: curve_of(moved, name) for name in (*GAP, "mouthPucker")}
    gap = np.sum([per_unit * curves[name] for name, per_unit in GAP.items()], axis=0)
    times = (np.arange(len(moved)) + 0.5) / FRAME_RATE
    measures.envelope.append(float(np.corrcoef(curves["jawOpen"], rms(speech, len(moved)))[0, 1]))
    for before, phoneme, after in zip(
        [SILENCE, *speech.phonemes], speech.phonemes, [*speech.phonemes[1:], SILENCE], strict=False
    ):
        near = (times >= phoneme.start - 0.03) & (times <= phoneme.end + 0.04)
        within = (times >= phoneme.start) & (times <= phoneme.end)
        if phoneme.name in LIPS and near.any():
            measures.met.append(bool(gap[near].min() <= LIPS_MEET))
        # Beside m, b, p and pauses, lips are closed anyway.
        if phoneme.name in TONGUE and not {before.name, after.name} & {*LIPS, ""} and near.any():
            measures.met_in_vain.append(bool(gap[near].min() <= LIPS_MEET))
        name = phoneme.name.rstrip("-\N{MODIFIER LETTER TRIANGULAR COLON}")
        if name not in ALL_VOWELS or phoneme.end - phoneme.start < 0.06:
            continue
        if within.any():
            measures.vowels_shut.append(bool(gap[within].max() <= 1.5 * LIPS_MEET))
            for kind, vowels in VOWELS.items():
                if name in vowels:
                    measures.pucker[kind].append(float(curves["mouthPucker"][within].max()))
                    measures.gap[kind].append(float(gap[within].max()))


def curve_of(moved: list[FaceMotion], name: str) -> Curve:
    return np.array([moment.get(name, 0.0) for moment in moved])


def rms(speech: Speech, frames: int) -> Curve:
    each = RATE // FRAME_RATE
    padded = np.pad(speech.samples, (0, max(0, frames * each - len(speech.samples))))
    power = np.square(padded[: frames * each].reshape(frames, each)).mean(axis=1)
    return np.asarray(np.sqrt(power), np.float64)


@pytest.fixture(scope="session")
def measured() -> dict[str, Measures]:
    return {language: measure(language) for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_lips_meet_at_m_b_and_p(measured: dict[str, Measures], language: str) -> None:
    met = measured[language].met
    assert len(met) >= 20
    assert np.mean(met) >= 0.9


@pytest.mark.parametrize("language", LANGUAGES)
def test_lips_stay_apart_at_t_d_k_and_g(measured: dict[str, Measures], language: str) -> None:
    met = measured[language].met_in_vain
    assert len(met) >= 40
    assert np.mean(met) <= 0.15


@pytest.mark.parametrize("language", LANGUAGES)
def test_lips_stay_apart_in_vowels(measured: dict[str, Measures], language: str) -> None:
    assert np.mean(measured[language].vowels_shut) <= 0.06


@pytest.mark.parametrize("language", LANGUAGES)
def test_lips_are_rounded_at_o_and_u(measured: dict[str, Measures], language: str) -> None:
    pucker = {kind: np.mean(values) for kind, values in measured[language].pucker.items()}
    assert pucker["rounded"] >= 0.3
    assert pucker["rounded"] >= 1.5 * pucker["open"]
    assert pucker["rounded"] >= 3 * pucker["spread"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_open_vowels_open_the_mouth_further(measured: dict[str, Measures], language: str) -> None:
    gap = {kind: np.mean(values) for kind, values in measured[language].gap.items()}
    assert gap["open"] >= 1.25 * gap["spread"]
    assert gap["open"] >= 0.08


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_jaw_follows_the_envelope(measured: dict[str, Measures], language: str) -> None:
    assert np.mean(measured[language].envelope) >= 0.8


def test_lips_that_are_open_in_the_photo_close_at_m_b_and_p() -> None:
    speech = speak("Mama und Papa haben ein Baby.", "de")
    closing = curve_of(voice_motion(Sound(speech.samples[None]), seed=1), "mouthClose")
    times = (np.arange(len(closing)) + 0.5) / FRAME_RATE
    at_lips = [
        closing[(times >= phoneme.start - 0.03) & (times <= phoneme.end + 0.04)].max()
        for phoneme in speech.phonemes
        if phoneme.name in LIPS
    ]
    assert len(at_lips) >= 6
    assert np.mean(at_lips) > 0.4


def test_voices_made_from_recordings() -> None:
    """Of flite's voices the network has heard other sentences."""
    texts = SENTENCES["en-us"][:1] + TONGUE_SENTENCES["en-us"][:1]
    measures = Measures()
    for voice in FLITE_VOICES:
        for text in texts:
            add(measures, flite(text, voice))
    assert np.mean(measures.met) >= 0.85
    assert np.mean(measures.met_in_vain) <= 0.4
    assert np.mean(measures.envelope) >= 0.78


def vowel(loudness: Curve) -> Sound:
    times = np.arange(len(loudness)) / RATE
    waves = np.sum([np.sin(2 * np.pi * each * times) for each in (130, 260, 750, 1150)], axis=0)
    return Sound(np.pad(0.25 * loudness * waves, RATE // 4).astype(np.float32)[None])


def test_the_jaw_follows_the_loudness_within_a_long_vowel() -> None:
    times = np.arange(3 * RATE) / RATE
    loudness = 0.65 + 0.35 * np.cos(2 * np.pi * 1.5 * times)
    moved = voice_motion(vowel(loudness), seed=1)
    jaw = np.array([moment.get("jawOpen", 0.0) for moment in moved])[6 + 4 : -6 - 4]
    at = (np.arange(len(jaw)) + 4.5) / FRAME_RATE
    assert np.corrcoef(jaw, np.interp(at, times, loudness))[0, 1] > 0.95
    assert jaw.max() > 1.4 * jaw.min() > 0


@pytest.mark.parametrize("seconds", [0.001, 0.02])
def test_a_click_can_be_measured(seconds: float) -> None:
    sound = vowel(np.ones(int(seconds * RATE)))
    assert np.isfinite(SpeechFeatures.measure(sound.mono, sound.rate).closed).all()
