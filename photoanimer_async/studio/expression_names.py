"""What the six expressions are called, also where there is no engine to ask.

The API page gives numbers and lengths only; these are the local engine's words.
"""

from collections.abc import Mapping

from attrs import frozen

from photoanimer_async import Template


@frozen
class ExpressionText:
    """An expression in words.

    Attributes:
        title: a few words.
        description: one sentence of what is seen.
    """

    title: str
    description: str


EXPRESSIONS: Mapping[Template, ExpressionText] = {
    Template.T0: ExpressionText(
        "Talking", "Says a few friendly words, with a nod and a smile at the end."
    ),
    Template.T1: ExpressionText(
        "Looking around, then a smile",
        "Looks to one side and to the other, finds you, and smiles.",
    ),
    Template.T2: ExpressionText("A wink", "A nod, a crooked smile, and a wink."),
    Template.T3: ExpressionText(
        "Surprise into laughter", "Eyes wide, mouth open, and then a hearty laugh."
    ),
    Template.T4: ExpressionText(
        "A playful no",
        "A mock-stern pout, a shake of the head, and a grin that gives it away.",
    ),
    Template.T5: ExpressionText(
        "A tender look and a kiss",
        "A warm look with the head a little tilted, closed eyes and a kiss for you.",
    ),
}
