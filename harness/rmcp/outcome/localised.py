"""How shells of other languages report a death: the texts of glibc's strsignal and bash's core mark, as data.

Sources: the message catalogues of glibc 2.36 (msgids Killed, Segmentation fault, Aborted, Illegal instruction, Bus
error) and bash (``(core dumped)``). Ordinary words (French `Abandon`, Italian `Annullato`) count with a core mark only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rmcp.outcome.patterns import Pattern, Rank
from rmcp.words import Cause

SEGFAULT = (
    "Speicherzugriffsfehler",
    "Erreur de segmentation",
    "Violación de segmento",
    "Errore di segmentazione",
    "Falha de segmentação",
    "Falta de segmentação",
    "Ошибка сегментирования",
    "Naruszenie ochrony pamięci",
    "Segmentatiefout",
    "Segmenteringsfel",
    "Szegmentálási hiba",
    "Помилка адресування",
    "Parçalama arızası",
    "段错误",
    "段錯誤",
    "程式記憶體區段錯誤",
    "세그멘테이션 오류",
    "세그멘테이션 결함",
)
ABORT = (
    "Abgebrochen",
    "Abandon",
    "Abortado",
    "Annullato",
    "Аварийный останов",
    "Przerwane",
    "Afgebroken",
    "Félbeszakítva",
    "Перервано",
    "İptal edildi",
    "已放弃",
    "已中止",
    "中止",
    "중지됨",
)
ILLEGAL = (
    "Ungültiger Maschinenbefehl",
    "Instruction non permise",
    "Instrucción ilegal",
    "Instrução ilegal",
    "Istruzione non consentita",
    "Недопустимая инструкция",
    "Błędna instrukcja",
    "Ongeldige instructie",
    "Otillåten instruktion",
    "非法指令",
    "無效指令",
    "명령어가 잘못됨",
)
BUS = ("Bus-Zugriffsfehler", "Erreur du bus", "Error del bus", "Errore di bus", "Ошибка шины", "总线错误", "バスエラー")
KILLED = (
    "Getötet",
    "Abgebrochen (Killed)",
    "Processus arrêté",
    "Terminado (killed)",
    "Ucciso",
    "Morto",
    "Убито",
    "Unicestwiony",
    "Geëlimineerd",
    "Dödad",
    "Вбито",
    "已杀死",
    "已殺死",
    "強制終了",
    "強制結束",
    "죽었음",
)
_LEAD = r"^(?:\S*: \S+ \d+:?\s+)?(?:\[\d+\]\s*[+-]?\s*)?(?:\d+\s+)?"  # script.sh: Zeile 4:  4711 ...
_MARK = r"\s*[(（][^()（）\n]{3,48}[)）]"
_END = r"(?=\s*$|\s{2,}\S)"
_SOURCE = "glibc and bash message catalogues"


def _row(
    name: str, cause: Cause, words: tuple[str, ...], mark: str, fields: Mapping[str, str], example: str
) -> Pattern:
    regex = _LEAD + "(?:" + "|".join(re.escape(word) for word in words) + ")" + mark + _END
    return Pattern(
        f"localised-{name}",
        cause,
        regex,
        words,
        example,
        _SOURCE,
        "process",
        rank=Rank.WEAK,
        fields=fields,
        whole=True,
        expect=fields,
    )


LOCALISED: tuple[Pattern, ...] = (
    _row(
        "segfault",
        Cause.SEGFAULT,
        SEGFAULT,
        f"(?:{_MARK})?",
        {"signal": "SIGSEGV"},
        "Speicherzugriffsfehler (Speicherabzug geschrieben)",
    ),
    _row("abort", Cause.UNKNOWN_ABORT, ABORT, _MARK, {"signal": "SIGABRT"}, "中止 (コアダンプ)"),
    _row(
        "illegal",
        Cause.ILLEGAL_INSTRUCTION,
        ILLEGAL,
        f"(?:{_MARK})?",
        {"signal": "SIGILL", "where": "cpu"},
        "非法指令 (核心已转储)",
    ),
    _row("bus", Cause.UNKNOWN_ABORT, BUS, f"(?:{_MARK})?", {"signal": "SIGBUS"}, "Errore di bus (core dump creato)"),
    _row("killed", Cause.CPU_OOM_KILL, KILLED, "", {"signal": "SIGKILL"}, "run.sh: Zeile 3:  4711 Getötet"),
)
