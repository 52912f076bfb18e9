"""The mutants that may survive are mutants of lines that there are."""

from tests.proof.mutate import ROOT, SOURCE, known


def test_each_excused_mutant_changes_a_line_of_its_module_and_says_why() -> None:
    for (module, before, after), why in known().items():
        lines = {line.strip() for line in (ROOT / SOURCE / module).read_text("utf-8").splitlines()}
        assert before in lines, f"{module} has no such line any more: {before}"
        assert before != after
        assert why.endswith(".")
