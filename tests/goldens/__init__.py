"""What real engines say and do just below and at the version of each change of Docker's API.

    sudo .venv/bin/python -m tests.goldens [whole] [NAME OF A CHANGE ...]

starts the engine that speaks both versions, 20.10 or 26.1 (tests/later.py unpacks it), in a network of its own, asks
for the same object at both, or sends it the same request, and writes what the change is about to
`tests/unit/versions/golden/recorded/v1_NN.json`. With names only those are made anew. `tests/unit/versions/
test_version_recordings.py` holds the changes against it. `whole` writes everything that some answers show at each
version, to `golden/engine-*`, for `test_version_goldens.py` there.

answers.py    the object of each answer, and which of its fields a change is about
requests.py   a request as it was written before a change and since, and how one sees what the engine made of it
whole.py      the objects of the whole answers
lab.py        one engine with what is asked for on it; what is chance in an answer is told the same way every time

Where an engine does not follow its own table of versions (it shows a field of today to a client of 2015), an entry
has `from_table` with the reason. What it has under `older` is then what Docker's history of the API says, and
`engine_older` is what was seen instead. An entry with `ours` is one where this service differs from the engine on
purpose.
"""
