"""Tables as people's programs write them: what is a point, a name, a row's number."""

import numpy as np
import pytest

from rfdsm._files import points as tables

X = [[1, 2.5], [3, 4], [5, 7]]


def read(tmp_path, text, **options):
    (tmp_path / "x.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return tables.table(tmp_path / "x.csv", **options)


@pytest.mark.parametrize(
    "text, words",
    [
        ("1,2.5\n3,4\n5,7\n", "no header"),
        ("0,1\n1,2.5\n3,4\n5,7\n", "names in the first row (0 to 1)"),  # pandas, index=False
        (",0,1\n0,1,2.5\n1,3,4\n2,5,7\n", "the first column names the rows"),  # pandas
        (",a,b\n0,1,2.5\n1,3,4\n2,5,7\n", "names in the first row (a to b), the first column"),
        ("Unnamed: 0,a,b\n0,1,2.5\n1,3,4\n2,5,7\n", "the first column names the rows"),
        ('"","V1","V2"\n"1",1,2.5\n"2",3,4\n"3",5,7\n', "the first column"),  # R's write.csv
        ('"V1" "V2"\n"1" 1 2.5\n"2" 3 4\n"3" 5 7\n', "the first column"),  # R's write.table
        ("V1 V2\nann 1 2.5\nbob 3 4\ncy 5 7\n", "the first column"),
        ("a\tb\r\n1\t2.5\r\n3\t4\r\n5\t7\r\n", "tabs"),
        ("\ufeffa;b\n# c\n\n1;2.5\n3; 4\n5;7", "semicolons"),
        (' "a b"  c\n 1  2.5\n3 4\n5 7', "blanks"),
        ("sep=;\na;b\n1;2.5\n3;4\n5;7\n", "names in the first row (a to b)"),  # for Excel
        ("a,,c\n1,2.5,0\n3,4,0\n5,7,0\n", "names in the first row (a to c)"),
    ],
)
def test_what_a_table_is(tmp_path, text, words):
    found = read(tmp_path, text)
    np.testing.assert_array_equal(found.X[:, :2], X)
    assert words in found.about and f"3 rows of {found.X.shape[1]} columns" in found.about


@pytest.mark.parametrize(
    "text, message",
    [
        ('"1","2"\n1,2\n3,4\n', "--header"),
        ("0,1\n1,0\n0,1\n", "--header"),
        ("1,2,3\n4,5,7\n1,0,9\n", "--header"),
        ("setosa,1\nvirginica,2\n", "--header"),
        ("id,a\n0,2\n1,5\n2,7\n3,1\n", "--index"),
        ("0,2\n1,5\n2,7\n3,1\n", "--index"),
        (",a\n7,2\n3,5\n9,7\n", "--index"),
        ("a b\n.1 2 3\n.7 5 6\n", "--index"),
        ("2019,2020,2021\n1.5,2,3\n4,5,6.5\n", "the first row (2019 to 2021) counts"),
        ("400,410,420,430\n1.5,2,3,4\n", "--header"),  # wavelengths
        ("id,a\n107,2\n108,5\n109,7\n110,1\n", "--index"),
        ("1|2\n3|4\n", "between cells may be semicolons"),
        pytest.param(f"a,b\n1,{'x' * 200_000}\n", "not a table of numbers", id="long cell"),
        pytest.param(f"a,b\n1,{'x' * 1000}\n", "'xxxxxxxxxxxxxxxxx...'", id="cell in short"),
        ("NA,2\n1,2\n", "'NA' in row 1, column 1"),
        (",2\n1,2\n", "nothing in row 1, column 1"),
        ("a,b\n1, nan\n", "'nan' in row 1, column 2 (b)"),
        ("1,1_000\n3,4\n", "'1_000' in row 1, column 2"),
        ("1,2\n3,\uff14\n", "'\uff14' in row 2, column 2"),
        ('1,"1,000"\n3,4\n', "between thousands"),
        ("1,5;2,5\n3,5;1,0\n", "'1,5' in row 1, column 1"),
        ("1,5\t2,5\n3,5\t1,0\n", "'1,5' in row 1, column 1"),
        ("a,b\n1,x\n", "'x' in row 1, column 2 (b)"),
        ("a,b\nx,1\n", "--index"),
        ("1,2\n3\n", "1 cells in row 2"),
        ("1,2\n3,4,5\n", "3 cells in row 2"),
        ("a,b\n1,2,\n3,4,\n", "first column"),  # a comma at the end is no name of a row
        ("1,inf\n3,4\n", "'inf' in row 1, column 2"),
        ("", "empty"),
        ("# nothing\n\n", "empty"),
        ("a,b\n", "no row of numbers"),
        ("1,2\0\n", "null"),
        ("\u00e9,b\n1,2\n".encode("latin-1"), "UTF-8"),
        ("a,b\n".encode("utf-16"), "UTF-8"),
    ],
)
def test_what_is_no_table_or_may_be_two_is_refused_in_a_line(tmp_path, text, message):
    with pytest.raises(ValueError) as refused:
        read(tmp_path, text)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_what_is_said_settles_it(tmp_path):
    text = "0,1,2\n1,5,6\n2,7,9\n3,8,8\n"
    assert read(tmp_path, text, header=False, index=False).X.shape == (4, 3)
    assert read(tmp_path, text, header=True, index=False).X.shape == (3, 3)
    assert read(tmp_path, text, header=True, index=True).X.shape == (3, 2)
    assert read(tmp_path, "a,b\nx,1\ny,2\n", index=True).X.tolist() == [[1], [2]]
    with pytest.raises(ValueError, match="one column"):
        read(tmp_path, "a\n1\n2\n", index=True)


def test_the_digits_as_pandas_writes_them(tmp_path):
    import pandas as pd

    from rfdsm.ingredients.datasets import digits

    X = np.round(digits()[:50], 3)
    for options in ({}, {"index": False}, {"sep": ";"}, {"header": False, "index": False}):
        pd.DataFrame(X).to_csv(tmp_path / "x.csv", **options)
        np.testing.assert_array_equal(tables.read(tmp_path / "x.csv"), X)


def test_arrays_that_are_no_points(tmp_path):
    import zipfile

    objects = np.array([{}, 1], dtype=object)
    np.save(tmp_path / "objects.npy", objects)
    np.savez(tmp_path / "objects.npz", X=objects)
    np.savez(tmp_path / "several.npz", a=np.eye(2), b=np.eye(2))
    np.save(tmp_path / "complex.npy", np.eye(2) * 1j)
    np.save(tmp_path / "dates.npy", np.zeros((2, 2), "M8[D]"))
    np.save(tmp_path / "texts.npy", np.array([["a", "b"]]))
    np.save(tmp_path / "row.npy", np.zeros(3))
    np.save(tmp_path / "cut.npy", np.zeros((30, 3)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:300])
    (tmp_path / "text.npz").write_text("hello")
    with zipfile.ZipFile(tmp_path / "member.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match=path.name) as refused:
            tables.read(path)
        assert "\n" not in str(refused.value), path
    with zipfile.ZipFile(tmp_path / "member.npz", "a") as archive:
        archive.write(tmp_path / "row.npy", "row.npy")
    np.savez(tmp_path / "good.npz", X=np.asfortranarray([[1, 2], [3, 4]], np.float16))
    with zipfile.ZipFile(tmp_path / "good.npz", "a") as archive:
        archive.writestr("notes.txt", "hello")
    assert tables.read(tmp_path / "good.npz").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"--index are of \.csv"):
        tables.table(tmp_path / "good.npz", index=True)
