"""The same raw requests to a stock engine and to the service: what answers differently is a defect or is listed.

pairs.py         a request, as data
sides.py         sends a sequence of them to one side
compare.py       what of two answers differs once ids, times and addresses are out of them
differences.py   the differences that are meant; each is a row of the README's table
the others       the sequences, by the noun that they are about
"""
