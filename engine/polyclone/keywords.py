"""Reserved words of each language and the inventory they share. Data only.

A reserved word found in `SHARED` becomes the atoms given there; any other reserved word (modifiers,
declaration keywords) says nothing about behaviour and is dropped. `TYPES` folds the names of the basic
types, which are identifiers in some languages and keywords in others.
"""

from __future__ import annotations

from collections.abc import Mapping


def _fold(groups: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {word: tuple(target.split()) for target, words in groups.items() for word in words.split()}


SHARED: Mapping[str, tuple[str, ...]] = _fold(
    {
        "kif": "if unless guard",
        "kelse": "else",
        "kelse kif": "elif elsif elseif elseif",
        "kfor": "for foreach",
        "kwhile": "while until loop repeat do",
        "kswitch": "switch match when select",
        "kcase": "case",
        "kdefault": "default",
        "kbreak": "break last",
        "kcontinue": "continue next",
        "kreturn": "return",
        "kyield": "yield",
        "kawait": "await",
        "kasync": "async go spawn",
        "ktry": "try",
        "kcatch": "catch except rescue",
        "kfinally": "finally ensure defer",
        "kthrow": "throw raise throws fallthrough panic",
        "kgoto": "goto",
        "knew": "new",
        "kdelete": "delete del",
        "knull": "null nil None nullptr NULL undefined nullopt",
        "ktrue": "true True TRUE",
        "kfalse": "false False FALSE",
        "kthis": "this self $this",
        "ksuper": "super base parent",
        "kand": "and",
        "kor": "or",
        "knot": "not",
        "kxor": "xor",
        "kin": "in of",
        "kis": "is instanceof typeof isinstance as",
        "klambda": "lambda",
        "kassert": "assert",
        "kwith": "with using use",
    }
)

TYPES: Mapping[str, str] = {
    word: target
    for target, words in {
        "kint": "int long short Int Long Short Integer integer size_t ssize_t usize isize i8 i16 i32 i64 i128 u8 u16"
        " u32 u64 u128 int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 int8_t int16_t int32_t int64_t"
        " uint8_t uint16_t uint32_t uint64_t Int8 Int16 Int32 Int64 UInt UInt8 UInt16 UInt32 UInt64 uintptr ulong"
        " ushort byte Byte sbyte unsigned signed BigInt BigInteger bigint number Number",
        "kfloat": "float double Float Double f32 f64 float32 float64 CGFloat decimal Decimal BigDecimal",
        "kstring": "string String str String_view string_view wstring QString",
        "kbool": "bool boolean Boolean Bool _Bool",
        "kchar": "char Char Character rune wchar_t char16_t char32_t",
    }.items()
    for word in words.split()
}

RESERVED: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "python": "False None True and as assert async await break class continue def del elif else except finally"
        " for from global if import in is isinstance lambda nonlocal not or pass raise return self cls super try"
        " while with yield",
        "java": "abstract assert break case catch class const continue default do else enum extends final finally"
        " for goto if implements import instanceof interface native new null package private protected public"
        " return static strictfp super switch synchronized this throw throws transient true false try void"
        " volatile while var record sealed permits yield",
        "javascript": "async await break case catch class const continue debugger default delete do else export"
        " extends false finally for function if import in instanceof let new null of return static super switch"
        " this throw true try typeof undefined var void while with yield",
        "typescript": "abstract any as async await break case catch class const continue debugger declare default"
        " delete do else enum export extends false finally for function if implements import in instanceof"
        " interface keyof let namespace never new null of private protected public readonly return satisfies"
        " static super switch this throw true try typeof undefined unknown var void while with yield",
        "go": "break case chan const continue default defer else fallthrough false for func go goto if import"
        " interface map nil package panic range return select struct switch true type var",
        "rust": "as async await break const continue crate dyn else enum extern false fn for if impl in let loop"
        " match mod move mut None panic pub ref return self Self static struct super trait true type union unsafe"
        " use where while",
        "ruby": "BEGIN END and begin break case class def defined? do else elsif end ensure false for if in loop"
        " module new next nil not or raise redo rescue retry return self super then true undef unless until when"
        " while yield lambda proc",
        "c": "auto break case const continue default do else enum extern false for goto if inline NULL register"
        " restrict return sizeof static struct switch true typedef union void volatile while",
        "cpp": "and auto break case catch class const const_cast constexpr consteval constinit continue co_await"
        " co_return co_yield decltype default delete do dynamic_cast else enum explicit export extern false final"
        " for friend goto if inline mutable namespace new noexcept not NULL nullptr nullopt operator or override"
        " private protected public register reinterpret_cast requires return sizeof static static_assert"
        " static_cast std struct switch template this throw true try typedef typeid typename union using virtual"
        " void volatile while xor",
        "csharp": "abstract as async await base break case catch checked class const continue default delegate do"
        " else enum event explicit extern false finally fixed for foreach goto if implicit in interface internal"
        " is lock namespace new not null operator or and out override params partial private protected public"
        " readonly record ref return sealed sizeof stackalloc static struct switch this throw true try typeof"
        " unchecked unsafe using var virtual void volatile when where while yield",
        "kotlin": "abstract actual annotation as break by catch class companion const constructor continue"
        " crossinline data do else enum expect external false final finally for fun if import in infix init inline"
        " inner interface internal is lateinit noinline null object open operator out override package private"
        " protected public reified return sealed super suspend tailrec this throw true try typealias Unit val var"
        " vararg when where while",
        "swift": "Any as associatedtype async await break case catch class continue convenience default defer"
        " deinit do else enum extension fallthrough false fileprivate final for func guard if import in init inout"
        " internal is lazy let mutating nil nonmutating open operator override private protocol public repeat"
        " required rethrows return self Self some static struct subscript super switch throw throws true try"
        " typealias unowned var weak where while",
        "scala": "abstract case catch class def do else enum export extends extension false final finally for given"
        " if implicit import inline lazy match new null None object override package private protected return"
        " sealed super then this throw trait try true type Unit using val var while with yield",
        "php": "abstract and array as break callable case catch class clone const continue declare default do echo"
        " else elseif enddeclare endfor endforeach endif endswitch endwhile enum extends false FALSE final finally"
        " fn for foreach function global goto if implements include include_once instanceof insteadof interface"
        " match namespace new null NULL or parent print private protected public readonly require require_once"
        " return self static switch this throw trait true TRUE try unset use var void while xor yield",
    }.items()
}

#: Reserved words whose meaning differs from `SHARED` in one language.
OVERRIDES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "rust": {"use": (), "as": ()},
    "go": {"select": ("kswitch",), "range": ("kin",)},
    "javascript": {"do": ("kwhile",), "with": ()},
    "typescript": {"as": (), "with": ()},
    "ruby": {"do": (), "when": ("kcase",), "case": ("kswitch",), "end": (), "in": ("kin",)},
    "scala": {"do": (), "with": (), "using": ()},
    "kotlin": {"as": (), "do": ()},
    "swift": {"do": (), "as": ()},
    "csharp": {"as": (), "do": (), "when": ("kif",), "using": ("kwith",)},
    "cpp": {"using": (), "do": ()},
    "c": {"do": ()},
    "java": {"do": (), "throws": ()},
    "php": {"use": (), "as": ("kin",), "do": (), "self": ("kthis",), "echo": ("cprint",), "print": ("cprint",)},
    "python": {"as": (), "isinstance": ("kis",)},
}
