"""VQA accuracy: agreement of an answer with those of several people, as defined by VQA 2.0.

Source: Antol et al. 2015, *VQA: Visual Question Answering*, with the normalisation described at
https://visualqa.org/evaluation.html and the average over subsets of its released program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_ARTICLES: Final = {"a", "an", "the"}

_NUMBERS: Final = {
    **{"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4"},
    **{"five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10"},
}

_PUNCTUATION: Final = ';/[]"{}()=+\\_-><@`,?!'
"""All marks but apostrophe, colon and period."""

_COMMA_IN_NUMBER: Final = re.compile(r"\d,\d")
_PERIOD: Final = re.compile(r"\.(?!\d)")

_PAIRS: Final = """
aint=ain't arent=aren't cant=can't couldve=could've couldnt=couldn't couldn'tve=couldn't've
couldnt've=couldn't've didnt=didn't doesnt=doesn't dont=don't hadnt=hadn't hadnt've=hadn't've
hadn'tve=hadn't've hasnt=hasn't havent=haven't hed=he'd hed've=he'd've he'dve=he'd've hes=he's
howd=how'd howll=how'll hows=how's isnt=isn't itd=it'd itd've=it'd've it'dve=it'd've itll=it'll
maam=ma'am mightnt=mightn't mightnt've=mightn't've mightn'tve=mightn't've mightve=might've
mustnt=mustn't mustve=must've neednt=needn't notve=not've oclock=o'clock oughtnt=oughtn't
ow's'at='ow's'at 'ows'at='ow's'at 'ow'sat='ow's'at shant=shan't shed've=she'd've
she'dve=she'd've shouldve=should've shouldnt=shouldn't shouldnt've=shouldn't've
shouldn'tve=shouldn't've somebody'd=somebodyd somebodyd've=somebody'd've
somebody'dve=somebody'd've somebodyll=somebody'll somebodys=somebody's someoned=someone'd
someoned've=someone'd've someone'dve=someone'd've someonell=someone'll someones=someone's
somethingd=something'd somethingd've=something'd've something'dve=something'd've
somethingll=something'll thats=that's thered=there'd thered've=there'd've there'dve=there'd've
therere=there're theres=there's theyd=they'd theyd've=they'd've they'dve=they'd've
theyll=they'll theyre=they're theyve=they've twas='twas wasnt=wasn't wed've=we'd've
we'dve=we'd've weve=we've werent=weren't whatll=what'll whatre=what're whats=what's
whatve=what've whens=when's whered=where'd wheres=where's whereve=where've whod=who'd
whod've=who'd've who'dve=who'd've wholl=who'll whos=who's whove=who've whyll=why'll whyre=why're
whys=why's wont=won't wouldve=would've wouldnt=wouldn't wouldnt've=wouldn't've
wouldn'tve=wouldn't've yall=y'all yall'll=y'all'll y'allll=y'all'll yall'd've=y'all'd've
y'alld've=y'all'd've y'all'dve=y'all'd've youd=you'd youd've=you'd've you'dve=you'd've
youll=you'll youre=you're youve=you've
"""

_CONTRACTIONS: Final = dict(pair.split("=") for pair in _PAIRS.split())
"""Contractions without their apostrophes. Those with a capital ``I`` in the released program are
never found there, because text is in lower case by then."""


@lru_cache(maxsize=2**16)
def normalise_answer(answer: str) -> str:
    """Normalise an answer as VQA 2.0 does before comparing it.

    1. A punctuation mark other than apostrophe, colon and period becomes a space. It is deleted
       instead, wherever it occurs, if it stands next to a space somewhere in the answer, or if
       there is a comma between two digits somewhere in the answer.
    2. Periods are deleted, unless a digit follows.
    3. The text becomes lower case and is split into words. ``none``, ``zero`` to ``ten`` become
       digits, then the words ``a``, ``an`` and ``the`` are deleted, and then contractions get
       missing apostrophes.
    4. The words are joined by single spaces.
    """
    given = answer.replace("\n", " ").replace("\t", " ").strip()
    text = given
    has_number = _COMMA_IN_NUMBER.search(given) is not None
    for mark in _PUNCTUATION:
        is_deleted = has_number or f"{mark} " in given or f" {mark}" in given
        text = text.replace(mark, "" if is_deleted else " ")
    words = [_NUMBERS.get(word, word) for word in _PERIOD.sub("", text).lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Return the VQA accuracy of a predicted answer, from 0 to 1.

    It is the mean, over all subsets that leave out one of the given answers, of
    ``min(matches / 3, 1)``, where ``matches`` is the number of answers of the subset that equal the
    prediction. The prediction and all answers are normalised first. The released program does not
    normalise if all answers are the same string; the definition does not have this exception.

    Args:
        prediction: the predicted answer.
        answers: the answers that people gave, ten in VQA 2.0. A single answer always scores 0, and
            fewer than four less than 1.

    Raises:
        ValueError: if there are no answers.
    """
    if not answers:
        raise ValueError("VQA accuracy needs the answers of the question")
    wanted = normalise_answer(prediction)
    matches = sum(normalise_answer(answer) == wanted for answer in answers)
    others = len(answers) - matches
    # Leaving out a matching answer, or one of the others.
    scores = matches * min((matches - 1) / 3, 1) + others * min(matches / 3, 1)
    return scores / len(answers)
