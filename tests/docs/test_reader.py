"""Following a page: every kind of block does what it says, and a page that is wrong is found out."""

from __future__ import annotations

import pytest

from tests.docs.likeness import differences
from tests.docs.pages import Reader, edited

RIGHT = """
```python title="a/greet.py"
import sys
print("hello", *sys.argv[1:])
```

```console
$ NAME=you
$ python a/greet.py $NAME
hello you
$ echo $NAME
you
$ python a/greet.py > told.txt
$ tr a-z A-Z < told.txt
HELLO
$ python a/greet.py you | wc -w
2
$ (exit 3)
$ echo $?
3
```

```diff title="a/greet.py"
-print("hello", *sys.argv[1:])
+print("good day")
```

```pycon
>>> for n in range(2):
...     n
0
1
```

```console
$ python a/greet.py
good day
```

```sh
rm -rf /  # only shown
```
"""


@pytest.fixture(params=[False, True], ids=["here", "by bash"])
def reader(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Reader(lambda arguments: (0, " ".join(arguments)), in_shell=request.param)


def test_a_page_that_is_right_comes_back_as_it_was(reader):
    assert reader.follow(RIGHT) == RIGHT


@pytest.mark.parametrize(
    ("old", "new"), [("hello you", "hello me"), ("2\n", "3\n"), ("good day\n```", "```"), ("0\n1", "0")]
)
def test_a_page_that_is_wrong_does_not(reader, old, new):
    page = RIGHT.replace(old, new)
    assert page != RIGHT
    assert differences(page, reader.follow(page))


def test_what_a_refusal_says_is_shown(reader):
    now = reader.follow("```console\n$ ls nowhere\n```\n")
    assert "nowhere" in now.splitlines()[2]


def test_pytest_is_called_with_its_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = Reader(lambda arguments: (0, f"got {arguments}"))
    assert "got ['-q', 'x.py']" in reader.follow("```console\n$ pytest -q x.py\n```\n")


@pytest.mark.parametrize("text", ["a\n", "b\nc\nb\nc\n"])
def test_an_edit_must_fit_once(text):
    with pytest.raises(ValueError, match="are there"):
        edited(text, "-b\n c\n+d\n")
    assert edited("b\nc\n", "-b\n+d\n c\n") == "d\nc\n"
