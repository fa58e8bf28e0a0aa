"""Decoding of octets whose charset is not declared.

Pure: no I/O and no clock. All functions take linear time.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

import msgspec

from downloadd.charsets import decode_strictly

MAX_JUDGED_CHARACTERS: Final = 1024
"""Characters from which a charset is guessed: several times the longest name."""

MIN_PLAUSIBILITY: Final = 0.3
"""Plausibility below which a guess is not used."""


def decode_unlabelled(octets: bytes) -> str:
    """Decode octets of an unknown charset: as UTF-8, or else in the legacy charset whose text is most plausible.

    The candidates are GBK, Shift_JIS, Windows-1250 to 1254 and Windows-1256. The choice depends on the octets alone. It
    is a guess: some octets are plausible in several charsets. If they are implausible in all, they are read as
    Windows-1252, and those that it does not define as control characters.
    """
    text = decode_strictly(octets, "utf-8")
    if text is not None:
        return text
    best, best_score = None, MIN_PLAUSIBILITY
    for candidate in _CANDIDATES:
        decoded = decode_strictly(octets, candidate.codec)
        if decoded is not None:
            score = candidate.weight * candidate.judge(decoded[:MAX_JUDGED_CHARACTERS])
            if score > best_score:
                best, best_score = decoded, score
    return best or decode_strictly(octets, "cp1252") or octets.decode("latin-1")


# -- plausibility ------------------------------------------------------------------------------------------------------

# Each judge returns the mean plausibility, from 0 to 1, of the characters that are not ASCII.

_WORDS: Final = re.compile(r"[^\W\d_]+")
_PUNCTUATION: Final = frozenset("“”‘’„‚–—…•™©®°²³½«»¡¿·ºª§№€")

_WESTERN: Final = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüÿßœ")
_CENTRAL: Final = frozenset("áâăäćčéęëěíîďńňóôőöřůúűüýąłľšśťžźżß")
_TURKISH: Final = frozenset("çğıİöşüâîû")

_CYRILLIC: Final = frozenset("оеаинтсрвлкмдп")
_GREEK: Final = frozenset("αοιετσνηυρπκμλςωγδάέήίόύώ")
_ARABIC: Final = frozenset("ابتجدرسعفقكلمنهويةى")
_ACCENTED: Final = frozenset("άέήίόύώ")
_DEPENDENT: Final = frozenset("ьъыЬЪЫ")
"""Cyrillic letters that no word begins with."""

_HANZI: Final = frozenset(
    "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小心多天而能"
    "好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与"
    "高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门"
    "相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目"
    "华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解各任至清物台"
    "象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃义科怎元社术结六功指思非流每青管夫连远资"
    "队跟带花快条院变联言权往展该领传近留红治决周保达办运武半候七必城父强步完革深区即求品士转量空甚众技轻程告江语"
    "英基派满式李息写呢识极令黄德收脸钱党倒未持取设始版历双越史商千片容研像找友孩站广改议形委早房音火际则首单据导影"
    "失拿网香似斯专石若兵弟谁校读志飞观争究包组造落视济喜离虽坏兴切试测试档夹册载图译集码源备份载软件安装说明学习课"
    "视频照片歌曲电影音乐文档表格合同发票简历报告总结计划方案通知申请名单模板素材源码手册教程资料下载新建副本"
)
"""Characters that are frequent in Chinese texts, and in names of files."""


def _judge_latin(letters: frozenset[str]) -> Callable[[str], float]:
    """Return the judge of a charset with Latin letters, of which `letters` are common."""

    def judge(text: str) -> float:
        points = [0.5 if each in _PUNCTUATION else 0.1 for each in text if not each.isascii() and not each.isalpha()]
        for word in _WORDS.findall(text):
            foreign = [each for each in word if not each.isascii()]
            # Languages with Latin letters use most of ASCII: a long word without is one of another script.
            mixed = len(foreign) == 1 or len(foreign) * 4 <= len(word) * 3
            for before, each in zip(" " + word, word, strict=False):
                if not each.isascii():
                    is_raised = before.islower() and each.isupper()
                    common = 1.0 if each.lower() in letters or each in letters else 0.6
                    points.append(0.2 if is_raised or not mixed else common)
        return _mean(points)

    return judge


def _judge_script(letters: frozenset[str], script: str, *, rare: float) -> Callable[[str], float]:
    """Return the judge of a charset with the letters of another script, of which `letters` are frequent."""

    def judge(text: str) -> float:
        points = [0.5 if each in _PUNCTUATION else 0.0 for each in text if not each.isascii() and not each.isalpha()]
        for word in _WORDS.findall(text):
            # A word is written in one script; its capitals are first, or all of it.
            pure = not any(each.isascii() for each in word)
            cased = word[1:] == word[1:].lower()
            factor = (1.0 if pure else 0.1) * (1.0 if cased else 0.9 if word.isupper() else 0.3)
            factor *= 0.5 if _is_misspelled(word) else 1.0
            points += [
                factor * (1.0 if each.lower() in letters else rare if _is_of(script, each) else 0.2)
                for each in word
                if not each.isascii()
            ]
        return _mean(points)

    return judge


def _judge_chinese(text: str) -> float:
    points = []
    for before, each, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if each.isascii():
            continue
        try:
            row = each.encode("gb2312")[0]
        except UnicodeEncodeError:
            points.append(0.15)
            continue
        # Rows of GB 2312: signs, common characters by sound, rare characters by radical.
        level = 0.5 if row < 0xB0 else 0.88 if row < 0xD8 else 0.55
        # Two octets inside of a word of Latin letters are letters too.
        inside = (before.isascii() and before.isalpha()) and (after.isascii() and after.isalpha())
        points.append((1.0 if each in _HANZI else level) * (0.6 if inside else 1.0))
    return _mean(points)


def _judge_japanese(text: str) -> float:
    points = []
    for each in text:
        if each.isascii():
            continue
        if "\u3041" <= each <= "\u30fe":
            points.append(1.0)
        elif "\uff61" <= each <= "\uff9f":
            # Half-width: one octet, half a point of any other character.
            points.append(0.25)
        elif unicodedata.category(each) == "Lo":
            # Kanji of level 1 come first.
            points.append(0.9 if each.encode("cp932")[0] < 0x98 else 0.5)
        else:
            points.append(0.6 if unicodedata.east_asian_width(each) in "FW" else 0.1)
    return _mean(points)


def _is_misspelled(word: str) -> bool:
    """Return True for a Cyrillic or Greek word that breaks a rule of writing; a wrong charset gives many of them."""
    accents = sum(each in _ACCENTED for each in word)
    return (len(word) > 1 and word[0] in _DEPENDENT) or "ς" in word[:-1] or accents > 1


def _is_of(script: str, character: str) -> bool:
    return unicodedata.name(character, "").startswith(script)


def _mean(points: list[float]) -> float:
    return sum(points) / len(points) if points else 0.0


class _Candidate(msgspec.Struct, frozen=True):
    """Legacy charset that octets may be in."""

    codec: str
    judge: Callable[[str], float]
    weight: float
    """Frequency among names: of two equally plausible charsets the more common one is chosen."""


_CANDIDATES: Final = (
    _Candidate("cp1252", _judge_latin(_WESTERN), 1.0),
    _Candidate("gbk", _judge_chinese, 0.95),
    _Candidate("cp932", _judge_japanese, 0.95),
    _Candidate("cp1251", _judge_script(_CYRILLIC, "CYRILLIC", rare=0.85), 0.93),
    _Candidate("cp1253", _judge_script(_GREEK, "GREEK", rare=0.7), 0.92),
    _Candidate("cp1250", _judge_latin(_CENTRAL), 0.9),
    _Candidate("cp1254", _judge_latin(_TURKISH), 0.89),
    _Candidate("cp1256", _judge_script(_ARABIC, "ARABIC", rare=0.7), 0.85),
)
"""The candidates; of equally plausible ones, the first is chosen."""
