"""Small functions that do the same thing in several languages, and whole made-up workspaces of them."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = {
    "python": ".py",
    "javascript": ".js",
    "typescript": ".ts",
    "java": ".java",
    "csharp": ".cs",
    "go": ".go",
    "rust": ".rs",
    "ruby": ".rb",
    "c": ".c",
    "cpp": ".cpp",
    "kotlin": ".kt",
    "swift": ".swift",
    "scala": ".scala",
    "php": ".php",
}
FRAMES = {
    "java": ("class {0} {{\n", "}}\n"),
    "csharp": ("class {0} {{\n", "}}\n"),
    "go": ("package {0}\n\n", ""),
    "php": ("<?php\n", ""),
}

#: The same small algorithm as a speaker of each language would write it.
TOTAL_ABOVE = {
    "python": """\
def total(values, limit):
    result = 0
    for value in values:
        if value > limit and value != 10:
            result += value * 2
        else:
            continue
    return result
""",
    "java": """\
int total(int[] values, int limit) {
    int result = 0;
    for (int value : values) {
        if (value > limit && value != 10) {
            result += value * 2;
        } else {
            continue;
        }
    }
    return result;
}
""",
    "javascript": """\
function total(values, limit) {
  let result = 0;
  for (const value of values) {
    if (value > limit && value !== 10) {
      result += value * 2;
    } else {
      continue;
    }
  }
  return result;
}
""",
    "typescript": """\
export function total(values: number[], limit: number): number {
  let result = 0;
  for (const value of values) {
    if (value > limit && value !== 10) {
      result += value * 2;
    } else {
      continue;
    }
  }
  return result;
}
""",
    "go": """\
func total(values []int, limit int) int {
	result := 0
	for _, value := range values {
		if value > limit && value != 10 {
			result += value * 2
		} else {
			continue
		}
	}
	return result
}
""",
    "rust": """\
pub fn total(values: &[i32], limit: i32) -> i32 {
    let mut result = 0;
    for &value in values {
        if value > limit && value != 10 {
            result += value * 2;
        } else {
            continue;
        }
    }
    return result;
}
""",
    "ruby": """\
def total(values, limit)
  result = 0
  for value in values
    if value > limit && value != 10
      result += value * 2
    else
      next
    end
  end
  return result
end
""",
    "c": """\
static int total(const int *values, int limit) {
    int result = 0;
    for (int value = *values; value; value = *++values) {
        if (value > limit && value != 10) {
            result += value * 2;
        } else {
            continue;
        }
    }
    return result;
}
""",
    "cpp": """\
int total(const std::vector<int>& values, int limit) {
    int result = 0;
    for (int value : values) {
        if (value > limit and value != 10) {
            result += value * 2;
        } else {
            continue;
        }
    }
    return result;
}
""",
    "csharp": """\
public static int total(IEnumerable<int> values, int limit) {
    var result = 0;
    foreach (var value in values) {
        if (value > limit && value != 10) {
            result += value * 2;
        } else {
            continue;
        }
    }
    return result;
}
""",
    "kotlin": """\
fun total(values: List<Int>, limit: Int): Int {
    var result = 0
    for (value in values) {
        if (value > limit && value != 10) {
            result += value * 2
        } else {
            continue
        }
    }
    return result
}
""",
    "swift": """\
func total(_ values: [Int], limit: Int) -> Int {
    var result = 0
    for value in values {
        if value > limit && value != 10 {
            result += value * 2
        } else {
            continue
        }
    }
    return result
}
""",
    "scala": """\
def total(values: Seq[Int], limit: Int): Int = {
  var result = 0
  for (value <- values) {
    if (value > limit && value != 10) {
      result += value * 2
    } else {
      return result
    }
  }
  return result
}
""",
    "php": """\
function total($values, $limit) {
    $result = 0;
    foreach ($values as $value) {
        if ($value > $limit && $value !== 10) {
            $result += $value * 2;
        } else {
            continue;
        }
    }
    return $result;
}
""",
}

#: Four algorithms in four languages, with places for a subject (as `{low}` or `{Cap}`) and a constant `{k}`.
ALGORITHMS = {
    "python": """\
def total_{low}_weight(parcels, limit):
    total = {k}
    for parcel in parcels:
        if parcel.weight > limit:
            total += parcel.weight * {k}
    return total


def largest_{low}_gap(stops):
    largest = -1
    previous = None
    for stop in sorted(stops):
        if previous is not None and stop - previous > largest:
            largest = stop - previous
        previous = stop
    return largest


def find_{low}(rows, wanted):
    left, right = 0, len(rows) - 1
    while left <= right:
        middle = (left + right) // 2
        if rows[middle] == wanted:
            return middle
        if rows[middle] < wanted:
            left = middle + 1
        else:
            right = middle - 1
    return -1


def {low}_checksum(text):
    code = {k}
    for letter in text:
        code = (code * 31 + ord(letter)) % 65521
    return "{low}-" + hex(code)
""",
    "javascript": """\
function total{Cap}Weight(parcels, limit) {{
  let total = {k};
  for (const parcel of parcels) {{
    if (parcel.weight > limit) {{
      total += parcel.weight * {k};
    }}
  }}
  return total;
}}

function largest{Cap}Gap(stops) {{
  let largest = -1;
  let previous = null;
  for (const stop of stops.sort()) {{
    if (previous !== null && stop - previous > largest) {{
      largest = stop - previous;
    }}
    previous = stop;
  }}
  return largest;
}}

function find{Cap}(rows, wanted) {{
  let left = 0, right = rows.length - 1;
  while (left <= right) {{
    const middle = Math.floor((left + right) / 2);
    if (rows[middle] === wanted) {{
      return middle;
    }}
    if (rows[middle] < wanted) {{
      left = middle + 1;
    }} else {{
      right = middle - 1;
    }}
  }}
  return -1;
}}

function {low}Checksum(text) {{
  let code = {k};
  for (const letter of text) {{
    code = (code * 31 + letter.codePointAt(0)) % 65521;
  }}
  return "{low}-" + code.toString(16);
}}
""",
    "go": """\
package {low}

func Total{Cap}Weight(parcels []Parcel, limit int) int {{
	total := {k}
	for _, parcel := range parcels {{
		if parcel.Weight > limit {{
			total += parcel.Weight * {k}
		}}
	}}
	return total
}}

func Largest{Cap}Gap(stops []int) int {{
	sort.Ints(stops)
	largest := -1
	previous := -1
	for _, stop := range stops {{
		if previous != -1 && stop-previous > largest {{
			largest = stop - previous
		}}
		previous = stop
	}}
	return largest
}}

func Find{Cap}(rows []int, wanted int) int {{
	left, right := 0, len(rows)-1
	for left <= right {{
		middle := (left + right) / 2
		if rows[middle] == wanted {{
			return middle
		}}
		if rows[middle] < wanted {{
			left = middle + 1
		}} else {{
			right = middle - 1
		}}
	}}
	return -1
}}

func {Cap}Checksum(text string) string {{
	code := {k}
	for _, letter := range text {{
		code = (code*31 + int(letter)) % 65521
	}}
	return fmt.Sprintf("{low}-%x", code)
}}
""",
    "java": """\
class {Cap} {{
    static int total{Cap}Weight(List<Parcel> parcels, int limit) {{
        int total = {k};
        for (Parcel parcel : parcels) {{
            if (parcel.weight > limit) {{
                total += parcel.weight * {k};
            }}
        }}
        return total;
    }}

    static int largest{Cap}Gap(int[] stops) {{
        int largest = -1;
        Integer previous = null;
        Arrays.sort(stops);
        for (int stop : stops) {{
            if (previous != null && stop - previous > largest) {{
                largest = stop - previous;
            }}
            previous = stop;
        }}
        return largest;
    }}

    static int find{Cap}(int[] rows, int wanted) {{
        int left = 0, right = rows.length - 1;
        while (left <= right) {{
            int middle = (left + right) / 2;
            if (rows[middle] == wanted) {{
                return middle;
            }}
            if (rows[middle] < wanted) {{
                left = middle + 1;
            }} else {{
                right = middle - 1;
            }}
        }}
        return -1;
    }}

    static String {low}Checksum(String text) {{
        int code = {k};
        for (char letter : text.toCharArray()) {{
            code = (code * 31 + letter) % 65521;
        }}
        return "{low}-" + Integer.toHexString(code);
    }}
}}
""",
}
SUBJECTS = (
    "harbour",
    "invoice",
    "voyage",
    "ticket",
    "lantern",
    "orchard",
    "glacier",
    "violin",
    "pepper",
    "meadow",
    "saddle",
    "copper",
    "raven",
    "tunnel",
    "biscuit",
    "anchor",
    "thicket",
    "quarry",
)
FUNCTIONS_A_FILE = 4


def source(language: str, subject: str, k: int) -> str:
    """A file of four functions about a subject."""
    return ALGORITHMS[language].format(low=subject, Cap=subject.title(), k=k)


def framed(language: str, code: str, name: str = "Sample") -> str:
    """A function as a file of its language."""
    head, tail = FRAMES.get(language, ("", ""))
    return head.format(name) + code + tail.format(name)


def sources(subjects: int = len(SUBJECTS)) -> dict[str, tuple[str, str]]:
    """Path → (language, text): one file a subject and language."""
    return {
        f"{language}/{subject}{SUFFIXES[language]}": (language, source(language, subject, 100 + 7 * number))
        for number, subject in enumerate(SUBJECTS[:subjects])
        for language in ALGORITHMS
    }


def write_workspace(root: Path, subjects: int = len(SUBJECTS)) -> Path:
    """Effect: writes the files below `root`."""
    for path, (_, text) in sources(subjects).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    return root
