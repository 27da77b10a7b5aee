import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.identity.people import People
from verdicts.mail import Person

ANN = Person("Ann Archer", ("ann@acme.example",))
WIDE = "".join(chr(ord(mark) + 0xFEE0) if mark != " " else mark for mark in "Ann Archer")
BOLD = "".join(unicodedata.lookup(f"MATHEMATICAL BOLD SMALL {mark}") if mark != " " else mark for mark in "ANN ARCHER")
PEOPLE = People()
for one in (ANN, Person("José Núñez"), Person("Support"), Person("!!!"), Person("Jan van der Berg")):
    PEOPLE.add(one)


@pytest.mark.parametrize(
    "name",
    [
        "Ann Archer", "ANN ARCHER", "Archer, Ann", "ann  archer", "Ann.Archer", "'Ann Archer'", "Ann_Archer",
        "Ann Archer, CEO", "Dr. Ann Archer (Acme)", "Ánn Àrcher", "\u0410nn \u0410rcher", "A\u200bnn Ar\u200dcher",
        "AnnArcher", "archerann", "Ann \u202eArcher\u202c", WIDE, "Ann A\u0301rcher", BOLD, "A\u00adnn Archer",
    ],
)  # fmt: skip
def test_a_name_is_found_however_it_is_written(name):
    assert PEOPLE.find(name) is ANN


@pytest.mark.parametrize("name", ["Jose Nunez", "NÚÑEZ José"])
def test_accents_of_the_protected_do_not_matter_either(name):
    assert PEOPLE.find(name).name == "José Núñez"


@pytest.mark.parametrize(
    "name", ["", "Ann", "Archer", "Anna Archer", "Ann B. Archer", "Acme Support", "Marchers Ann", "van der Berg", "!!!"]
)
def test_other_names_are_not(name):
    assert PEOPLE.find(name) is None


def test_a_name_of_one_word_must_be_all_of_it():
    assert PEOPLE.find("SUPPORT").name == "Support"


@given(st.text(max_size=300))
def test_any_text_is_a_name(name):
    PEOPLE.find(name)
    PEOPLE.find(name * 50)
