"""Content-Disposition fields as servers send them, each with the file names that are right.

The rules are those of RFC 6266, 8187, 2231 and 2047, and of the published tests of Chromium, Firefox, wget and
greenbytes.de/tech/tc2231. A case has several right names if these contradict each other, or if the field is so broken
that its name may be ignored (None).
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote_from_bytes

Case = tuple[str | bytes, tuple[str | None, ...]]
"""A field, and its right names."""
Names = dict[str | bytes, tuple[str | None, ...]]
"""The right names, by field."""

_SYNTAX: Final[Names] = {
    # No name.
    "": (None,),
    "inline": (None,),
    "attachment": (None,),
    "ATTACHMENT": (None,),
    '"attachment"': (None,),
    "attachment;": (None,),
    "attachment; ;;": (None,),
    "x-odd": (None,),
    "kind=x": (None,),
    "attachment; filename": (None,),
    "attachment; filename X": (None,),
    "attachment; filename=": (None,),
    "attachment; filename= ": (None,),
    'attachment; filename=""': (None,),
    'attachment; filename="': (None,),
    "attachment; filename*=": (None,),
    "attachment; name=": (None,),
    "attachment; name=plan.pdf": (None,),
    'inline; name="plan.pdf"': (None,),
    "name=plan.pdf": (None,),
    'attachment; name="plan-%41.pdf"': (None,),
    "attachment; xfilename=plan.pdf": (None,),
    "attachment; filenamex=plan.pdf": (None,),
    "attachment; kind=old filename=plan.pdf": (None,),
    "attachment filename=plan.pdf": (None,),
    'attachment; note="filename=plan.pdf"': (None,),
    'attachment; note="x; filename=plan.pdf"': (None,),
    'attachment; creation-date="Fri, 03 Mar 2017 10:00:00 GMT"': (None,),
    # Tokens.
    "attachment; filename=plan.pdf": ("plan.pdf",),
    "attachment; filename=plan": ("plan",),
    "attachment;filename=plan.pdf": ("plan.pdf",),
    "attachment; FILENAME=plan.pdf": ("plan.pdf",),
    "attachment; FileName=plan.pdf;": ("plan.pdf",),
    "attachment; filename=plan.pdf ;": ("plan.pdf",),
    "attachment; filename=plan.pdf ; ": ("plan.pdf",),
    "attachment; ;filename=plan.pdf": ("plan.pdf",),
    "; filename=plan.pdf": ("plan.pdf",),
    "filename=plan.pdf": ("plan.pdf",),
    "filename= plan.pdf": ("plan.pdf",),
    "filename =plan.pdf": ("plan.pdf",),
    "filename = plan.pdf": ("plan.pdf",),
    "filename\t=plan.pdf": ("plan.pdf",),
    "filename \t\t =plan.pdf": ("plan.pdf",),
    "attachment;\tfilename=\tplan.pdf": ("plan.pdf",),
    "attachment;\r\n filename=plan.pdf": ("plan.pdf",),
    "x=y; filename=plan.pdf": ("plan.pdf",),
    "filename=plan.pdf; attachment": ("plan.pdf",),
    "x-odd; filename=plan.pdf": ("plan.pdf",),
    "inline; attachment; filename=plan.pdf": ("plan.pdf", None),
    "attachment; inline; filename=plan.pdf": ("plan.pdf", None),
    "attachment; filename=plan.pdf; more": ("plan.pdf",),
    "attachment; filename=plan.pdf; more ": ("plan.pdf",),
    "attachment; kind=x; filename=plan.pdf": ("plan.pdf",),
    "attachment; filename=plan.pdf; size=12": ("plan.pdf",),
    "attachment; filename=last plan.pdf": ("last plan.pdf", "last"),
    "attachment; filename=plan kind=x": ("plan kind=x", "plan"),
    "attachment; filename=a,b.pdf": ("a,b.pdf",),
    "attachment; filename=plan{1}[2](3).pdf": ("plan{1}[2](3).pdf",),
    "attachment; filename='plan.pdf'": ("'plan.pdf'", "plan.pdf"),
    "attachment; filename=plan=2.pdf": ("plan=2.pdf",),
    "attachment; filename=a@b.pdf": ("a@b.pdf",),
    "attachment; filename=/etc/plan.pdf": ("plan.pdf",),
    "attachment; filename=..\\plan.pdf": ("plan.pdf",),
    "attachment; filename=plan\x00s.pdf": ("plans.pdf",),
    "attachment; filename=IT7\x04x.pdf": ("IT7x.pdf",),
    "filename=a.pdf, filename=b.pdf": ("a.pdf, filename=b.pdf", "a.pdf"),
    "attachment; filename=a.pdf, attachment; filename=b.pdf": ("a.pdf, attachment", "a.pdf"),
    # Quoted strings.
    'attachment; filename="plan.pdf"': ("plan.pdf",),
    'inline; filename="plan.pdf"': ("plan.pdf",),
    'filename="plan.pdf"': ("plan.pdf",),
    'form-data; name="f"; filename="plan.pdf"': ("plan.pdf",),
    'attachment; filename = "plan.pdf"': ("plan.pdf",),
    'attachment; filename ="plan.pdf"': ("plan.pdf",),
    'attachment; filename="plan.pdf"; dummy': ("plan.pdf",),
    'attachment; filename="plan.pdf" ;size=3': ("plan.pdf",),
    'attachment; filename="This is not the one"': ("This is not the one",),
    'attachment; filename="A plan; and more.pdf"': ("A plan; and more.pdf",),
    'attachment; filename="a=b; filename=c.pdf"': ("a=b; filename=c.pdf",),
    'attachment; filename="01234567890123456789012345678901234567890"': ("01234567890123456789012345678901234567890",),
    r'attachment; filename="pl\an.pdf"': ("plan.pdf",),
    r'attachment; filename="\p\l\a\n.pdf"': ("plan.pdf",),
    r'attachment; filename="\""': ('"',),
    r'attachment; filename="a\"b.pdf"': ('a"b.pdf',),
    r'attachment; filename="\"best\" plan.pdf"': ('"best" plan.pdf',),
    r'attachment; filename="a\\b.pdf"': ("b.pdf",),
    r'attachment; filename="\\plan.pdf"': ("plan.pdf",),
    'attachment; filename="/plan.pdf"': ("plan.pdf",),
    'attachment; filename="../../plan.pdf"': ("plan.pdf",),
    'attachment; kind="x"; filename="plan.pdf"': ("plan.pdf",),
    r'attachment; kind="\"\\";filename="plan.pdf"': ("plan.pdf",),
    'attachment; kind="a;b"; filename="plan.pdf"': ("plan.pdf",),
    '"x; filename=a;b"; filename=plan.pdf': ("plan.pdf", None),
    'attachment; filename="a  \t\nb.pdf"': ("a    b.pdf", "a  b.pdf"),
    # Broken quoted strings.
    'attachment; filename="plan.pdf': ("plan.pdf",),
    'filename="plan.pdf': ("plan.pdf",),
    'attachment; filename="plan.pdf ': ("plan.pdf",),
    'attachment; filename="plan.pdf; size=3': ("plan.pdf", "plan.pdf; size=3"),
    'attachment; filename="plan.pdf".txt': ("plan.pdf", 'plan.pdf".txt'),
    'attachment; filename="plan".pdf; size=3': ("plan", 'plan".pdf'),
    'attachment; filename=pl"an;b"c': ('pl"an', 'pl"an;b"c'),
    'attachment; filename=pl"an".pdf': ('pl"an".pdf',),
    'attachment; filename="the "best" plan.pdf"': ('the "best" plan.pdf', "the"),
    'attachment; filename="the "best" plan.pdf"; size=3': ('the "best" plan.pdf', "the"),
    'attachment; filename=""plan.pdf""': ('"plan.pdf"', "plan.pdf", None),
    'attachment; filename="plan.pdf" size=3': ("plan.pdf", 'plan.pdf" size=3'),
    'attachment; filename="a" filename="b"': ("a", 'a" filename="b'),
    'attachment; filename="\\b\\a\\': ("ba\\",),
    r'attachment; filename="C:\files\my plan.pdf"': ("my plan.pdf",),
    r'attachment; filename="C:\Users\\ann\plan.pdf"': ("plan.pdf",),
    r'attachment; filename="\\server\share\plan.pdf"': ("plan.pdf",),
    r"attachment; filename=C:\files\plan.pdf": ("plan.pdf",),
    # Several.
    'attachment; name="x"; filename="plan.pdf"': ("plan.pdf",),
    'attachment; filename="plan.pdf"; name="x"': ("plan.pdf",),
    "attachment; filename=a.pdf; filename=b.pdf": ("a.pdf",),
    'attachment; filename="a.pdf"; filename="b.pdf"': ("a.pdf",),
    'attachment; filename=""; filename=b.pdf': ("b.pdf", None),
}

_PERCENT: Final[Names] = {
    'attachment; filename="a%20plan.pdf"': ("a plan.pdf",),
    "attachment; filename=a%20plan.pdf": ("a plan.pdf",),
    'attachment; filename="%E6%A1%88.pdf"': ("案.pdf",),
    "attachment; filename=%E6%A1%88%E3%80%80%E6%A1%88.pdf": ("案\u3000案.pdf",),
    'attachment; filename="%F0%90%8C%B0x.pdf"': ("\U00010330x.pdf",),
    'attachment; filename="%E6%A1%88 %E6%A1%88.pdf"': ("案 案.pdf",),
    'attachment; filename="%E6%A1%88 \n%E6%A1%88.pdf"': ("案  案.pdf", "案 案.pdf"),
    'attachment; filename="plan-%c3%a4-%e2%82%ac.pdf"': ("plan-ä-€.pdf", "plan-%c3%a4-%e2%82%ac.pdf"),
    'attachment; filename="plan-%41.pdf"': ("plan-%41.pdf", "plan-A.pdf"),
    r'attachment; filename="plan-%\41.pdf"': ("plan-%41.pdf", "plan-A.pdf"),
    "attachment; filename=a%2Fb.pdf": ("b.pdf",),
    "attachment; filename=%2e%2e%2fplan.pdf": ("plan.pdf",),
    'attachment; filename="60%.pdf"': ("60%.pdf",),
    'attachment; filename="60% off.pdf"': ("60% off.pdf",),
    'attachment; filename="60%25.pdf"': ("60%.pdf", "60%25.pdf"),
    "attachment; filename=%E6%A1%88%E6%A1%8": (None, "%E6%A1%88%E6%A1%8"),
    "attachment; filename=%B7%DD%BD%D1.png": (None, "%B7%DD%BD%D1.png"),
    b'attachment; filename="\xe4-%41.pdf"': ("ä-%41.pdf", "ä-A.pdf", None),
    "filename=plan%cc%88": ("plan\u0308", "plan%cc%88"),
}

_ENCODED_WORDS: Final[Names] = {
    "attachment; filename==?utf-8?Q?caf=C3=A9=5F2.png?=": ("café_2.png",),
    'attachment; filename="=?utf-8?Q?caf=C3=A9_2.png?="': ("café 2.png",),
    'attachment; filename="=?UTF-8?B?Y2Fmw6kucG5n?="': ("café.png",),
    "attachment; filename==?UTF-8?b?Y2Fmw6kucG5n?=": ("café.png",),
    'attachment; filename="=?UTF-8?B?Y2Fmw6k=?=.png"': ("café.png", None),
    'attachment; filename="=?UTF-8?B?Y2Fmw6k?= x.png"': ("café x.png", "caféx.png", None),
    'inline; filename="=?iso88591?Q?caf=e9_=2epng?="': ("café .png",),
    'inline; filename="=?iso88591?Q?caf=E9_?= .png"': ("café  .png", "café .png"),
    'attachment; filename="=?utf-8*fr?Q?caf=C3=A9.png?="': ("café.png", None),
    'attachment; filename="=?utf-8?Q?ca?= =?utf-8?Q?f=C3=A9.png?="': ("café.png",),
    'attachment; filename="=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9.png?="': ("café.png", None),
    'attachment; filename="=?windows-1252?Q?caf=E9?=  =?iso-8859-7?b?4eI=?= .png"': ("caféαβ .png", "caféαβ.png"),
    'attachment; filename="=?euc-kr?b?v7m8+iAz?= =?ksc5601?q?=BF=B9=2Epng?="': ("예술 3예.png",),
    "filename==?utf-8?Q?plan?=": ("plan",),
    "attachment; filename==?utf-8?Q??=": (None,),
    'attachment; filename="what=?.pdf"': ("what=?.pdf",),
    'attachment; filename="=?.pdf"': ("=?.pdf",),
    # Malformed.
    "attachment; filename==?koi9?Q?caf=EG?=": (None, "=?koi9?Q?caf=EG?="),
    "attachment; filename==?koi9?Q?caf=E3?=": (None, "=?koi9?Q?caf=E3?="),
    "attachment; filename==?iso-8859-1?Q?caf=E3?": (None, "=?iso-8859-1?Q?caf=E3?"),
    "attachment; filename==?iso-8859-1?Q?caf=E3?==": (None, "=?iso-8859-1?Q?caf=E3?=="),
    "attachment; filename==?iso-8859-1?Q?caf=E3?=?": (None, "=?iso-8859-1?Q?caf=E3?=?"),
    "attachment; filename==?iso-8859-1?Q?caf=E3?=?=": (None, "=?iso-8859-1?Q?caf=E3?=?="),
    "attachment; filename==?windows-1252?Q?=63=61=E?=": (None, "=?windows-1252?Q?=63=61=E?="),
    "attachment; filename==?utf-8?B?*?=": (None, "=?utf-8?B?*?="),
    "attachment; filename==?windows-1252?Q?caf=E3?==?iso-8859-7?b?4eIucG5n?=": (None, "cafãαβ.png"),
    "filename=plan =?utf-8?Q?x?": (None, "plan =?utf-8?Q?x?"),
    b"filename=plan\xcc\x88 plan%cc%88 =?utf-8?Q?x?=": ("plan\u0308 plan\u0308 x",),
    b"filename=plan\xcc\x88 plan%cc%88 =?utf-8?Q?x?": (None,),
}

_EXTENDED: Final[Names] = {
    "attachment; filename*=UTF-8''plan.pdf": ("plan.pdf",),
    "attachment; filename*=UTF-8'en-US'plan.pdf": ("plan.pdf",),
    "attachment; filename*=utf-8'en'plan.pdf": ("plan.pdf",),
    "attachment; filename*=iso-8859-1'en'plan.pdf": ("plan.pdf",),
    "attachment; FILENAME*=UTF-8''plan.pdf": ("plan.pdf",),
    "filename*=UTF-8''plan.pdf": ("plan.pdf",),
    "attachment; filename*=UTF-8''%41": ("A",),
    "attachment; filename*=UTF-8''1%202": ("1 2",),
    "attachment; filename*=UTF-8''%c2%a3%20and%20%e2%82%ac": ("£ and €",),
    "attachment; filename*=UTF-8''plan-a%cc%88.pdf": ("plan-ä.pdf",),
    "attachment; filename*=UTF-8''plan-%2541.pdf": ("plan-%41.pdf",),
    "attachment; filename*=UTF-8''%5cplan.pdf": ("plan.pdf",),
    "attachment; filename*=UTF-8''..%2f..%2fplan.pdf": ("plan.pdf",),
    "attachment; filename*=utf-8''%F0%90%8C%B0 3.pdf": ("\U00010330 3.pdf",),
    "attachment; filename*=iso-8859-1''plan-%E4.pdf": ("plan-ä.pdf",),
    "attachment; filename*=ISO-8859-1''%c3%a4": ("Ã¤",),
    "attachment; filename*=ISO-8859-1''%e2%82%ac": ("â‚¬", None),
    "attachment; filename*=iso-8859-1''plan-%c3%a4-%e2%82%ac.pdf": ("plan-Ã¤-â‚¬.pdf", None),
    "attachment; filename*=ISO-8859-1''%A3%20rates": ("£ rates", None),
    # White space.
    "attachment; filename *=UTF-8''plan.pdf": (None,),
    "attachment; filename*= UTF-8''plan.pdf": ("plan.pdf",),
    "attachment; filename* =UTF-8''plan.pdf": ("plan.pdf",),
    "inline; filename*=iso88591''the plan.pdf": ("the plan.pdf",),
    "inline; filename*=UTF-8''a b": ("a b", None),
    # With the plain parameter.
    "attachment; filename=plain; filename*=UTF-8''better": ("better",),
    "attachment; filename*=UTF-8''better; filename=plain": ("better",),
    "attachment; filename=\"plan-ae.pdf\"; filename*=UTF-8''plan-%c3%a4.pdf": ("plan-ä.pdf",),
    "attachment; name=x; filename*=utf-8''plan; name=y": ("plan",),
    "attachment; filename=plain; filename*=UTF-8''": ("plain",),
    "attachment; filename=plain; filename*=UTF-8''A%e4B": ("plain",),
    "attachment; filename*=UTF-8''A%e4B; filename=plain": ("plain",),
    "attachment; filename*=UTF-8''%E4; filename*=UTF-8''b": ("b", None),
    # Malformed.
    "attachment; filename*=UTF-8''A%e4B": (None,),
    "attachment; filename*=UTF-8''%A3%20rates": (None,),
    "attachment; filename*=UTF-8''plan%": (None, "plan%"),
    "attachment; filename*=UTF-8''pl%an.pdf": (None, "pl%an.pdf"),
    "attachment; filename*=UTF-8''a%zz": (None, "a%zz"),
    "attachment; filename*=UTF-8''a%b": (None, "a%b"),
    "attachment; filename*=plan.pdf": (None, "plan.pdf"),
    "attachment; filename*=plan%20a.pdf": (None, "plan a.pdf"),
    "attachment; filename*=plan'.pdf": (None, "plan'.pdf"),
    "attachment; filename*='plan.pdf": (None, "'plan.pdf", "plan.pdf"),
    "attachment; filename*=''plan.pdf": (None, "plan.pdf"),
    "attachment; filename*=''plan-%c3%a4.pdf": (None, "plan-ä.pdf"),
    "attachment; filename*=''plan'.pdf": (None, "plan'.pdf"),
    "attachment; filename*=''plan.pdf'": (None, "plan.pdf'"),
    "attachment; filename*=''p\"la\"n.pdf'": (None, 'p"la"n.pdf\''),
    "attachment; filename*=koi9''plan.pdf": (None, "plan.pdf"),
    "attachment; filename*=koi9''plan.pdf'": (None, "plan.pdf'"),
    "attachment; filename*=a''plan.pdf": (None, "plan.pdf"),
    "attachment; filename*='en'plan.pdf": (None, "plan.pdf"),
    "attachment; filename*=UTF-8'plan-%41.pdf": (None, "plan-A.pdf"),
    "attachment; filename*=UTF-8'plan-%41.pdf; filename=plain.pdf": ("plan-A.pdf", "plain.pdf"),
    "attachment; filename*=\"UTF-8''plan-%c3%a4.pdf\"": ("plan-ä.pdf", None),
    "attachment; filename*=UTF-8''\"plan-%c3%a4.pdf\"": ("plan-ä.pdf", '"plan-ä.pdf"', None),
    'attachment; filename*="a%20plan.pdf"': ("a plan.pdf", None),
    'attachment; filename="a.pdf"; filename*="b.pdf"': ("b.pdf", "a.pdf"),
    "attachment; filename**=UTF-8''plan": (None,),
    "attachment; filename=plain; filename**=UTF-8''x": ("plain",),
    b"attachment; filename*=iso-8859-1'es'pl\xfan.pdf": (None, "plún.pdf"),
    b"attachment; filename*='es'pl\xfan.pdf": (None,),
    b"attachment; filename*=utf-8'es'pl\xce\xbax.pdf": (None,),
    # Names of codecs that are no charsets.
    "attachment; filename=plain; filename*=hex''4142": ("plain", "4142"),
    "attachment; filename=plain; filename*=punycode''bcher-kva": ("plain", "bcher-kva"),
    "attachment; filename=plain; filename*=unicode_escape''%5cx41": ("plain", "x41"),
}

_SECTIONS: Final[Names] = {
    "attachment; filename*0=pl; filename*1=an": ("plan", None),
    'attachment; filename*0="pl"; filename*1="an.pdf"': ("plan.pdf", None),
    "attachment; filename*0*=UTF-8''pl; filename*1*=%c3%a4n": ("plän", None),
    "attachment; filename*0*=UTF-8''pl-%c3%a4; filename*1=\".pdf\"": ("pl-ä.pdf", None),
    "attachment; filename*1=an; filename*0=pl": ("plan", None),
    "attachment; filename*0=only": ("only", None),
    "attachment; filename*0=first; filename*0=wrong; filename=plain": ("first", "plain"),
    "attachment; filename*0=a; filename*1=b; filename*0=wrong": ("ab", None),
    "attachment; filename=plain; filename*0=a; filename*1=b": ("ab", "plain"),
    "attachment; filename=plain; filename*0=a; filename*0=wrong; filename*=UTF-8''best": ("best",),
    "attachment; filename=plain; filename*=UTF-8''best; filename*0=a; filename*1=b": ("best",),
    "attachment; filename*0=a; filename*2=c": ("a", None),
    "attachment; filename*0=a; filename*01=b": ("a", None),
    "attachment; filename*00=a; filename=plain": ("plain",),
    "attachment; filename=plain; filename*0*=UTF-8''two;\r\n filename*1=parts;\r\n filename*2*=%20more": (
        "twoparts more",
        "plain",
    ),
    "attachment; filename=plain; filename*0*=UTF-8''two; filename*1=parts; filename*3*=%20more": ("twoparts", "plain"),
    "attachment; filename=plain; filename*0*=UTF-8''x; filename*1=y; filename*0*=UTF-8''z; filename*1=z": (
        "xy",
        "plain",
    ),
    "attachment; filename=plain; filename*0=UTF-8''x; filename*=UTF-8''best; filename*1=y": ("best",),
    "attachment; filename*0=UTF-8''raw; filename*1*=%20and%20UTF-8''%20more": ("UTF-8''raw and UTF-8'' more", None),
    "attachment; filename=plain; filename*0=UTF-8''raw; filename*1*=%20x": ("UTF-8''raw x", "plain"),
    "attachment; filename=plain; filename*1=x; filename*2=y; filename*3*=%20z": ("plain",),
    "attachment; filename*1=x; filename*2=y": (None,),
    "attachment; filename=plain; filename*0*=UTF-8''0; "
    + "; ".join(f"filename*{number}={number:x}" for number in range(1, 16)): ("0123456789abcdef", "plain"),
    "attachment; filename=plain; filename*0*=UTF-8''0; "
    + "; ".join(f"filename*{number}={number:x}" for number in range(1, 16) if number != 13): ("0123456789abc", "plain"),
    "attachment; filename=plain; filename*0*=UTF-8''0; "
    + "; ".join(f"filename*{number}={number:x}" for number in range(15, 0, -1)): ("0123456789abcdef", "plain"),
    "attachment; filename=plain; filename*0*=UTF-8''0; filename*1a=1": ("0", "plain"),
    "attachment; filename=plain; filename*0*=UTF-8''0; filename*0=bad; filename*1=1": ("0", "plain"),
    f"attachment; filename=plain; filename*0*=UTF-8''0; filename*{'1' * 60}=1": ("0", "plain"),
    "attachment; filename=plain; filename*0*=UTF-8''0; filename*-1=1": ("0", "plain"),
    'attachment; filename=plain; filename*0="0"; filename*1=1; filename*2*=%32': ("012", "plain"),
    "attachment; filename*0*=UTF-8''A%e4B; filename=plain": ("plain",),
    "attachment; filename*0*=ISO-8859-15''euro%a4; filename*=ISO-8859-1''currency%a4": ("currency¤",),
    "attachment; filename*=ISO-8859-1''currency%a4; filename*0*=ISO-8859-15''euro%a4": ("currency¤",),
    r'attachment; filename=plain; filename*0="pl"; filename*1="\a\n.pdf"': ("plan.pdf", "plain"),
    'attachment; filename=plain; filename*0="pl"; filename*1="\\a\\n\\': ("plan\\", "plain"),
    'attachment; filename*="A.pdf"; filename*0="B"; filename*1="B.pdf"': ("A.pdf", "BB.pdf"),
    'filename**0="A"; filename**1="A.pdf"; filename*0="B"; filename*1="B"': ("AA.pdf",),
}

_RAW: Final[Names] = {
    b"attachment; filename=caf\xc3\xa9.png": ("café.png",),
    b'attachment; filename="plan-\xc3\xa4.pdf"': ("plan-ä.pdf",),
    b'attachment; filename="plan-\xe4.pdf"': ("plan-ä.pdf", None),
    b"attachment; filename=plan-\xe4.pdf": ("plan-ä.pdf", None),
    b'attachment; filename="plan-\xe4pdf"': ("plan-äpdf", None),
    b"attachment; filename=caf\xe5.png": ("cafå.png", "cafε.png"),
    b"filename=plan\xcc\x88": ("plan\u0308",),
    b"name=plan\xcc\x88": (None,),
    b"filename=x; name=plan\xcc\x88": ("x",),
    b"attachment;filename=IT1\x04\xb5(m8)2.pdf;": ("IT1µ(m8)2.pdf",),
    # The second octet of a character is that of a backslash.
    'attachment; filename="予定表.xls"'.encode("cp932"): ("予定表.xls",),
    "attachment; filename=ソース.txt".encode("cp932"): ("ソース.txt",),
    # Other charsets are not guessed.
    "attachment; filename=예술.png".encode("euc-kr"): ("예술.png",),
    "attachment; filename=план.pdf".encode("koi8-r"): ("план.pdf",),
}

_GUESSED: Final = {
    "cp1252": "café.png|Übersicht.pdf|naïve résumé.doc|año 2020.zip|ça va.txt|créée.txt|Ærø.jpg|Größe.csv|ÉTÉ.pdf"
    "|l’été",
    "gbk": "中文.txt|测试文件.zip|新建文本文档.txt|报告2020.pdf"
    "|电影天堂.mkv|图片（一）.jpg|数据备份.tar.gz|北京.txt|音乐.mp3|繁體中文.txt",
    "cp932": "日本語.txt|テスト.txt|ファイル.zip|資料.pdf|写真.jpg|さくら.mp3"
    "|東京大学.pdf|新しいフォルダ.zip|第１章.txt",
    "cp1251": "Привет.txt|документ.doc|Файл 1 и 2.zip|Отчёт за май.pdf|Новая папка.rar|ключ.txt|до.txt|Договор №5.doc",
    "cp1253": "αρχείο.txt|εικόνα.jpg|Ελλάδα.doc|μουσική.mp3",
    "cp1250": "Příliš žluťoučký.txt|Zażółć gęślą jaźń.pdf|Łódź.zip|książka.pdf",
    "cp1254": "değişiklik.txt|Şubat raporu.doc|öğrenci.xls",
    "cp1256": "كتاب.pdf|صورة جديدة.jpg",
}
"""Names in legacy charsets, sent as raw octets."""

_LABELLED: Final = {
    "utf-8": "plän €.pdf",
    "utf8": "план.pdf",
    "iso-8859-1": "plän.pdf",
    "iso-8859-2": "plán řek.pdf",
    "iso-8859-5": "план.pdf",
    "iso-8859-15": "5 €.pdf",
    "latin1": "plän.pdf",
    "windows-1250": "książka.pdf",
    "windows-1251": "план.pdf",
    "windows-1252": "“plän”.pdf",
    "cp1253": "σχέδιο.pdf",
    "koi8-r": "план.pdf",
    "gbk": "计划.pdf",
    "gb2312": "计划.pdf",
    "gb18030": "计划😀.pdf",
    "big5": "計劃.pdf",
    "shift_jis": "予定表.pdf",
    "euc-jp": "予定表.pdf",
    "iso-2022-jp": "予定表.pdf",
    "euc-kr": "계획.pdf",
}
"""A name in each of these charsets, sent with the label."""

_PREFIXES: Final = ("attachment; ", "inline;", "", "; ", "x-odd; ", 'form-data; name="x"; ', "attachment; size=3 ; ")
_FORMS: Final = (
    'filename="plän.pdf"',
    "filename=plän.pdf",
    "filename*=UTF-8''pl%C3%A4n.pdf",
    "filename=x; filename*=UTF-8''pl%C3%A4n.pdf",
    'filename="=?utf-8?B?cGzDpG4ucGRm?="',
    'filename="pl%C3%A4n.pdf"; x=y',
)

UNACCEPTABLE: Final[dict[str | bytes, str]] = {
    'filename**0="A"; filename**1="A.pdf"; filename*0="B"; filename*1="B"': (
        "wget alone reads a doubled asterisk; RFC 2231 gives it no meaning"
    ),
    b"filename=plan\xcc\x88 plan%cc%88 =?utf-8?Q?x?=": (
        "beside an encoded word, percent signs are those of the name: an encoder uses one encoding"
    ),
    b"attachment; filename*=utf-8'es'pl\xce\xbax.pdf": (
        "raw UTF-8 that is labelled as UTF-8 has one meaning; to ignore it loses the name"
    ),
    "attachment; filename=예술.png".encode(
        "euc-kr"
    ): "octets of EUC-KR are plausible Chinese in GBK, which is more common",
    "attachment; filename=план.pdf".encode("koi8-r"): (
        "KOI8-R is not guessed: each text in it is one in Windows-1251 too, in the wrong case"
    ),
}
"""Fields whose name is not the published one, with the reason."""


def _labelled_cases() -> Iterator[Case]:
    for label, name in _LABELLED.items():
        octets = name.encode(label)
        encoded = quote_from_bytes(octets, safe="")
        q = "".join(f"={octet:02X}" for octet in octets)
        yield f"attachment; filename=x; filename*={label}''{encoded}", (name,)
        yield f"attachment; filename*={label.upper()}'en'{encoded}", (name,)
        yield f'attachment; filename="=?{label}?Q?{q}?="', (name,)
        yield f"attachment; filename==?{label.upper()}?b?{b64encode(octets).decode()}?=; x=y", (name,)
        first, second = octets[:3], octets[3:]
        sections = f"filename*0*={label}''{quote_from_bytes(first)}; filename*1*={quote_from_bytes(second)}"
        yield f"attachment; {sections}", (name, None)


def _all_cases() -> Iterator[Case]:
    for group in (_SYNTAX, _PERCENT, _ENCODED_WORDS, _EXTENDED, _SECTIONS, _RAW):
        yield from group.items()
    for codec, names in _GUESSED.items():
        for name in names.split("|"):
            yield f'attachment; filename="{name}"'.encode(codec), (name,)
    yield from _labelled_cases()
    for prefix in _PREFIXES:
        for form in _FORMS:
            yield (prefix + form).encode(), ("plän.pdf",)


CASES: Final = tuple(_all_cases())
