"""Where a message stands: is it printed by the program that failed, or does a text only *name* it? Pure.

Prose, source code and documentation wrap the words of a message into sentences, quotes and code; `only_names` decides.
"""

# ruff: noqa: E501 - regular expressions read better in one piece

from __future__ import annotations

import re

from rmcp.outcome.decoration import Core

# Words that make a sentence *about* an error out of the words that follow or surround it.
_ABOUT = re.compile(
    r"\b(?:if|when|whenever|unless|until|would|could(?! not\b)|might|may|should|such as|e\.g\.|i\.e\.|for example|for instance"
    r"|examples?|like|instead of|rather than|avoid\w*|prevent\w*|catch(?:es|ing)?|handl(?:e|es|ing)|typical\w*|usually|sometimes|often"
    r"|fix(?:es|ed|ing)?|workarounds?|symptoms?|means|indicates?|known issue|possibly|leads? to|leading to|results? in|causes?"
    r"|resulting in|(?:dies?|crash(?:es)?|fails?|errors? out|aborts?|ends|stops?|exits?)(?: [\w-]+){0,5}[*_]* with|throws?|raises?|triggers?"
    r"|look(?:s|ing)? (?:like|for)|see(?:s|ing)?|same error|similar|grep|match(?:es)?|detects?|downstream|proven"
    r"|look for|check for|search for|treat(?:s|ed)?|classif\w+|recogni[sz]\w+|reports? as|expects?|documented|describes?"
    r"|saw|observed|surfaces?|you(?:['’]ll| will| may| might| would| could| can)? get|without (?:these|this|that|it|them)|issue discovered|root cause|tells you)\b"
    r"|如果|可能|例如|比如|类似|会出现|もし|たとえば",
    re.IGNORECASE,
)
_ENDS_IN_PROSE = re.compile(
    r"\b(?:with|the|an?|of|as|see|get(?:s|ting)?|got|by|is|are|was|be|to|for|and|or|then|named?|about|hit(?:s|ting)?"
    r"|raise[sd]?|throws?|throwing|reports?|shows?|says?|on|that|this|than|via|into|have|has|had|your|any|both|no|not)"
    r"\s*[\"'`*(_]*\s*$",
    re.IGNORECASE,
)
_REPORTS = re.compile(r"\b(?:logs?|logged|prints?|printed|output|stderr|stdout)\b", re.IGNORECASE)
_PROSE_AFTER = re.compile(
    r"^[\"'`*)\].,;]*\s*(?:—|–|\(?(?:this is|that is|is (?:the|a|an|not)|means|indicates|because|usually|typically|instead|when|whenever"
    r"|if|would|can\b|may|might|will|occurs?\b|happens|appears|errors?\b|failures?\b|for (?:most|many|all|some)|on (?:cards|gpus|amd|nvidia|rdna|gfx|h100|older|some|most)"
    r"|\[[^\]\n]{1,40}\]\(|in (?:curobo|stack|the log|dmesg|your)|from (?:the|a)|and (?:the|then)|or\b|so\b|which\b|while\b))",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"0x\.{2,}|0x[Xx]{2,}|0x<|0x…|(?<![\w%])%[0-9l]*[spdxu]\b|\{[\w.!:]*\}|\$\{|<(?!unknown>)[a-zA-Z_ |-]{1,20}>(?![/\\])|gfxNNN|gfxXXX"
)
_REPORTED = re.compile(r"\b(?:crashed|failed|died|aborted|faulted|hung|stopped|ended|logged|printed)\b", re.IGNORECASE)
_ELIDED = re.compile(r"0x\.{2,}|address <\w[^>\n]{0,30}>|0x[Xx]{2,}|(?<![\w%])%(?:s|p|d|u|zu|llu)\b|total-vm:\.\.\.")
_UNTOLD = re.compile(r"Agent handle: 0x\.{2,}|Queue 0x\.{2,}")  # posters leave out what nobody needs
_LABEL = re.compile(r"\*\*([^*]{1,60})\*\*:?\s*`$|\*\*([^*]{1,60}):\*\*\s*`$")
_LABEL_OF_ERROR = re.compile(r"error|exception|message|log|output|trace|stderr|stdout|fehler|crash|result", re.IGNORECASE)
_CODE = re.compile(
    r"^#\s?(?:define|include|if|ifdef|ifndef|pragma)\b|\)\s*;\s*(?://.*)?$|^(?:from \S+ )?import \w|\bre\.(?:compile|search|match|escape)\(|^(?:assert|raise|return|if|elif|else|for|while|def|class|import|from|case|const|static|throw|except|with|"
    r"let|var|fn|pub|match|switch|echo|grep|export|constexpr|inline|void|int|bool|auto|extern|enum|struct|namespace|using|template|#define|#include|#if)\b[^:]*[({;:=]"
    r"|\b(?:printf|fprintf|LOG|log\w*|LogPrintf\w*|print|println!?|puts|EXPECT_\w+|ASSERT_\w+|TORCH_CHECK|CHECK|MIOPEN_THROW|contains|startswith|endswith|includes|"
    r"has_substr|find|assertIn|assertRaises\w*|assertEqual|raises|skipIf\w*|Error|Exception|RuntimeError)\(\s*(?:[fru]?[\"'`]|\w+\()"
    r"|\bin (?:str\(|msg|message|text|line(?! \d)|output|err|stderr|log|result|exc|e\b)|[\"']\s+in\s+(?!(?:line|file|function)\b)\w"
    r"|[\"'][)\]}]*\s*[,;]\s*(?:#.*|//.*)?$|[\"']\)+\s*:?$|=>\s*[\"']|==\s*[\"']|^\w+\s*=\s*[\[({]?\s*[fru]*[\"']|\bhip(?:Success)\s*[!=]=|[!=]=\s*(?:hip|cuda)Error"
    r"|=\s*0x[0-9a-fA-F]+\s*,|^\"[^\"]*\"\s*:\s*[\[{\"\d]"
)
_CALL = re.compile(r"\b\w+!?\(\s*[fruLb]{0,2}[\"'`]")  # a call with a text as its first argument
_JSON_KEY = re.compile(r"[\"'](?:error|err|message|msg|detail|details|log|stderr|stdout|output|exception|traceback|reason|text)[\"']\s*:\s*[\"'][^\"']*$", re.IGNORECASE)
# A constant or its description, as headers and lists have them: `hipErrorX (700): text`, `The agent attempted ...`.
_DEFINES = re.compile(r"(?:hip|cuda)Error\w+|(?:CUDA|HIP)_ERROR_\w+|The agent attempted|an? illegal|(?:unspecified|device-side)\b")
# `SomeError: ` at the beginning of a line: the last line of a traceback.
_EXCEPTION_LEAD = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Resources|Exit)(?:\(\))?: (?!is\b|are\b|when\b)")
_FATAL_LINE = re.compile(r":0:\s*rocdevice\.cpp\s*:\s*\d+\s*:|\S+\.cpp:\d+: guarantee\(")  # printed by the runtime and by nothing else
# Sentences that announce an example: what follows them did not happen here.
_INTRO = re.compile(
    r"\b(?:lines?|message|errors?|output|something|text|piece|crash|one)\b[^.\n]{0,60}\b(?:like(?! this| the following| these| below| so\b)|such as|gives? you|resembl\w+)\b"
    r"|^\W*examples?\s*\d*\s*:\s*\w|\btypisch|\bt[ií]pic|\bhäufig|典型|常见|よくある"
    r"|\*\*same error|\bif you (?:see|get|encounter|hit)|\btells you\b|\bwhen you (?:see|get)|\btypical\b"
    r"|\bcommon (?:errors?|failures?|issues?)|\btroubleshoot|\bknown (?:errors?|failures?)|\bmay (?:see|fail|print|show|crash)|\bmight (?:see|fail|print|show)"
    r"|\b(?:usually|typically|often|generally|commonly|normally)\b[^.\n]{0,30}\blooks? like\b"
    r"|\busers\b[^.\n]{0,40}\b(?:see|saw|get|hit)\b"
    r"|^\W*symptoms?\W*$"
    r"|\bwould (?:fail|print|see)|\bexpected (?:output|error|failure)|\bdownstream",
    re.IGNORECASE,
)
# An article speaks of what its reader sees; who reports says what he himself saw.
_GENERIC = re.compile(r"\b(?:you|your|you['’](?:ve|re|ll|d)|developers|users|people)\b", re.IGNORECASE)
_REPORT_INTRO = re.compile(
    r"\b(?:exact|actual|full|complete|core)\b[^.:\n]{0,20}\b(?:errors?|messages?|output|logs?)\b[^.:\n]{0,20}[:：]\W*$", re.IGNORECASE
)
_FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve)|we|we['’]re|my|our|me)\b")
_I_GOT = re.compile(
    r"\b(?:I|we|I['’]m|we['’]re|I am)\b[^.;\n]{0,30}\b(?:got|get|getting|receive[sd]?|receiving|encounter(?:ed|ing)?|hit|facing|obtain(?:ed)?)\b"
    r"[^.;\n]{0,60}\w+(?:Error|Exception):\s*(?:\w+ [Ee]rror[^.\n]{0,20}:\s*)?$"
)
# `I get the following message: ...`: what follows the colon was printed to the writer.
_I_GOT_MESSAGE = re.compile(
    r"\b(?:I|i|we|We)\b[^.,;\n]{0,20}\b(?:got|get|getting|see|saw|have|had|receive[sd]?)\b[^.,;\n]{0,30}\b(?:message|error|output|this|following)(?: (?:when|while|after|during|in|with|from)\b[^.,;:\n]{1,60})?\s*:\W*"
    r"(?:Error:\s*|[A-Za-z_]\w*(?:Error|Exception):\s*)?$"
    r"|\b(?:I|we|We) (?:get|got|am getting|are getting|received?|see|saw|have|had) (?:this|the following) (?:\w+ )?(?:error|message|output)s?:?\s*[`\"“']+$"
)
# `I get a "... of 98988.40 MiB failed" error`: figures of one run, and the writer's own.
_I_GET_QUOTED = re.compile(r"\b(?:I|we|We) (?:get|got|am getting|are getting|received?|see|saw|have|had) (?:an?|the|this)(?: \w+)? [\"“`](?P<said>[^\"“”`\n]{0,120})$")
# `I'm encountering an error message: RuntimeError: ...`: here the match begins with the announcement.
_I_AM_GETTING = re.compile(r"\b(?:I|we)(?:['’]m|['’]re| am| are)? (?:get|got|getting|see|seeing|hit|hitting|encounter(?:ed|ing)?|facing) (?:an?|the|this|following) (?:\w+ )?$")
_ERROR_SAYS = re.compile(r"[Ee]rror(?: message)?:\s*[A-Za-z_]\w*(?:Error|Exception):\s")
# These announce an example or a report; a complete driver line after them is a report.
_IF_INTRO = re.compile(r"^\W*(?:if|in case|should)\b[^\n]*[:：]\W*$", re.IGNORECASE)
_CJK_INTRO = re.compile(r"可能会?(?:出现|遇到|报|看到)|(?:如果|若)[^。\n]*(?:报错|出现|遇到)")
_BOLD_CODE = re.compile(r"^\W*\*\*`[^`]+`\*\*:?\s*$")  # a heading in all but name
_RAW_LITERAL = re.compile(r"^\w+\s*[:=]+\s*(?:\w+\()?`$")  # `logs: `...` of a Go or JavaScript source
_CLOSED_TICK = re.compile(r"`+[*_]*[,.;)]?\s+[a-z(`]")
_EXPLAINED = re.compile(r"\W*(?:this |that |it |which )?(?:usually |typically |often |normally )?(?:means|indicates)\b", re.IGNORECASE)
_CHAIN = re.compile(r"[)\"'`*\]]{0,3}\s*[→⇒]")  # how a status travels through layers, as designs describe it
# What a guide writes under an error; nobody who reports one does.
_ADVICE = re.compile(
    r"\W*(?:(?:likely|possible|probable|common|root|most common|quick|the|recommended) )?(?:solutions?|fix(?:es)?|causes?|workarounds?|remed(?:y|ies)"
    r"|what to do|how to fix(?: it)?|ursachen?|lösung(?:en)?|解决(?:方法|方案|办法)|原因)\W*[:：]\W*(?:$|\w)|\W*\*\*(?:likely |possible |common |root )?(?:solutions?|fix(?:es)?|causes?|workarounds?)[.:]?\*\*",
    re.IGNORECASE,
)
_SOFT_INTRO = re.compile(r"\blooks? like\b|\bsame error|\bfor example\b|\bexamples?\b\s*:|\bsimilar", re.IGNORECASE)
_KERNEL_LINE = re.compile(r"\bkernel: |\bamdgpu [0-9a-f]{4}:[0-9a-f:.]+: |\[drm:\w+ \[amdgpu\]\]")
_EXCEPTION_LABEL = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception):\s*$")
_BREAK = re.compile(r"<br ?/?>")
# `hipMalloc failed with error NAME`: three small words, and no sentence.
_CALL_FAILED = re.compile(r"(?:^|[:\])]\s*)(?:hip|cuda|cu|hsa|rocblas|miopen)[A-Z]\w+(?:\(\))? (?:failed|returned)(?: with)?(?: error)?(?: code)?[: ]*$")
_WORDS = re.compile(r"(?<![\w./:-])[a-z]{2,}(?![\w./:(=-])")


def only_names(
    core: Core,
    before: str,
    matched: str,
    after: str,
    lead: str,
    *,
    below: str = "",
    device: bool = False,
    weak: bool = False,
) -> bool:
    """True when the line mentions the message instead of being it.

    ``before`` and ``after`` are the rest of the line, ``lead`` the text that leads up to the line: the line before
    it in the same paragraph, or the sentence that introduces a code fence; ``below`` is the next line that is not empty. ``device``: the message is a complete
    driver line, which is rarely quoted inside a sentence; ``weak``: it only says how a process ended, in words that
    lists and comments use too.
    """
    if "<br" in before or "<br" in after:  # a line of HTML holds several lines
        before, after = _BREAK.split(before)[-1], _BREAK.split(after, maxsplit=1)[0]
    if _FATAL_LINE.match(matched) or (_FATAL_LINE.search(before) and "borting with error" in before):
        return False
    if core.heading or core.table:
        return True
    if (core.comment or core.bullet) and not core.logged and (weak or _DEFINES.match(matched)):
        return True
    if not device and "Assertion `" not in matched and _PLACEHOLDER.search(matched):
        return True
    if _ELIDED.search(_UNTOLD.sub("", matched + after[:60])) and not _REPORTED.search(lead):
        return True
    whole = before + matched + after
    if _CALL_FAILED.search(before) and not (core.comment or core.bullet):
        return False
    if not core.logged and "; expr=" not in whole and "Device-side assertion" not in matched and (
        _CODE.search(whole) or _CALL.search(before)
    ):
        return True
    if (_I_GOT.search(before) or _I_GOT_MESSAGE.search(before)) and not re.search(r"\b(?:if|never|not|catch)\b", before):
        return False
    own = _I_GET_QUOTED.search(before)
    if own and re.search(r"\d\.\d|\d{3}", own["said"] + matched) and not re.search(r"\b(?:if|never|not|catch|whenever)\b", before, re.IGNORECASE):
        return False
    if _I_AM_GETTING.search(before) and _ERROR_SAYS.match(matched):
        return False
    if "..." in matched and before.rstrip().endswith("`") and re.match(r"`,? [a-z(]", after):
        return True  # shortened inside a sentence that goes on
    if _IF_INTRO.match(lead) and not _FIRST_PERSON.search(lead):
        return True
    if _CJK_INTRO.search(lead) or _BOLD_CODE.match(whole):
        return True
    if _RAW_LITERAL.match(_EXCEPTION_LABEL.sub("", before)) and "`" not in after:
        return True
    if core.ticked and _EXPLAINED.match(below):
        return True
    if not core.logged and _ADVICE.match(below):
        return True
    if (not device or weak) and "`" not in before and not core.ticked and _CLOSED_TICK.match(after):
        return True  # the end of a quotation that began on the line above
    if _CHAIN.match(after) or (before.endswith("&quot;") and after.startswith("&quot;")):
        return True
    if "[" in before and re.match(r"[^\[\]\n]{0,200}\]\(", after):
        return True  # the text of a link
    if before.rstrip().endswith("...") and after.lstrip().startswith("..."):
        return True
    if _INTRO.search(lead) or (weak and _SOFT_INTRO.search(lead)):
        return True
    if core.ticked and not device and re.match(r"`+[*_]*,?\s+[a-z(]", after):
        return True
    alone = not before.strip() and not after.strip(" `*.")  # the line is quoted whole
    if core.ticked and not device and _continues(lead) and len(_WORDS.findall(lead)) >= 4 and (not alone or _ENDS_IN_PROSE.search(lead)):
        return True
    if _EXCEPTION_LEAD.match(core.text) and not (core.comment or core.bullet):
        return False
    quote = before.rstrip("*_ ")[-1:]
    bare = before.strip(" \t\"'`*_([{")
    if core.logged and not core.comment:
        return False
    if (core.comment or core.bullet) and (_continues(lead) or core.comment) and _ABOUT.search(lead):
        return True
    if core.comment and (core.ticked or before.strip() == "(" or before.count("`") % 2):
        return True
    if core.comment and not device and len(_WORDS.findall(before)) >= 4:
        return True  # documentation comments quote messages in ticks
    only_exception = bool(bare) and bool(re.fullmatch(r"(?:[\w.]+\.)?\w*(?:Error|Exception):", bare))
    if core.comment and (not bare or only_exception) and _continues(lead) and _ENDS_IN_PROSE.search(lead):
        return True
    if (core.comment or core.bullet) and before.endswith("(") and len(before.split()) > 2:
        return True
    if quote in "\"'" and quote:
        if not bare:
            return "hipErrorNoBinaryForGpu" not in matched
        if not _JSON_KEY.search(before) and not re.search(r"[:=]\s*[\"']$", before):
            return not (core.bullet and _REPORTS.search(before) and not _ABOUT.search(before))
    if _in_literal(before) and "hipErrorNoBinaryForGpu" not in matched:
        return True
    kernel = _KERNEL_LINE.search(before)
    if kernel is not None and not core.comment:
        said = before[: kernel.start()]
        return said.endswith("`") and bool(_ABOUT.search(said))
    quoted = _EXCEPTION_LABEL.sub("", before)
    if quoted.endswith(("'", '"')) and re.match(r"[^'\"\n]{0,400}['\"] [a-z]", matched + after) and len(_WORDS.findall(quoted)) >= 8:
        return True  # "... the buffer: 'SomeError: text' from the kernel": a quotation inside a sentence
    if _PROSE_AFTER.match(after) and (before or core.comment or core.bullet or core.ticked or quote):
        return True
    if (core.comment or not device) and _in_ticks(before, core.ticked) and bare and not _EXCEPTION_LEAD.match(before.rpartition("`")[2]):
        return True
    if not bare:
        # A wrapped sentence: what stands on the line above belongs to this one.
        return bool((core.comment or core.bullet) and _continues(lead) and (_ABOUT.search(lead) or _ENDS_IN_PROSE.search(lead)))
    label = _LABEL.search(before)
    if _ABOUT.search(before) or (label and not _LABEL_OF_ERROR.search(label.group())):
        return True
    if device:
        return False
    if _ENDS_IN_PROSE.search(before):
        return True
    if re.search(r"[:>\])|!=→]\s*[*_`\"']*\s*$", before):
        return False
    return len(_WORDS.findall(before)) >= 3


def is_example_intro(text: str) -> bool:
    """True for `you may see an error like:`: what stands in the next paragraph happened to nobody in particular."""
    return (
        (text.endswith((":", "：")) and bool(_INTRO.search(text) and _GENERIC.search(text)))
        or bool(_CJK_INTRO.search(text))
    ) and not _FIRST_PERSON.search(text)


def is_report_intro(text: str) -> bool:
    """True for `The exact error logged:`: what stands in the next paragraph was seen by the writer."""
    return bool(_REPORT_INTRO.search(text)) and (not _GENERIC.search(text) or bool(_FIRST_PERSON.search(text)))


def _in_literal(before: str) -> bool:
    """True when a text literal of a source or data file is open; a value of a JSON or key=value log is none."""
    if before.count('"') % 2 == 0:
        return False
    lead = before.rpartition('"')[0]
    return not _JSON_KEY.search(before) and not lead.endswith("=")


def _in_ticks(before: str, ticked: bool) -> bool:
    """True inside `...` in the middle of a sentence; after a colon (`Error: `...``) the quotation is the message."""
    before = before.replace("``", "`")
    if (before.count("`") + ticked) % 2 == 0 or "`" not in before:
        return False
    lead = before.rpartition("`")[0].rstrip(" *_\"'([")
    return bool(lead) and lead[-1] not in ":："


def _continues(lead: str) -> bool:
    """True when a line does not end its sentence, so that the next one goes on with it."""
    return bool(lead) and lead.rstrip()[-1:] not in ".:!?`}{;"
