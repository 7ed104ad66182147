"""What the attributes of a persona are called, and how their values are made comparable.

"34 years", "34" and "mid-30s" are one age; "American", "USA" and "the United States" one nationality. Everything is in
lower case, without what stands in brackets and without punctuation at its end. A value that says nothing ("...",
"[name]", "unknown") or goes on for too long is no value.
"""

import re
import unicodedata

ATTRIBUTES = ("name", "age", "gender", "nationality", "city", "education", "job", "income", "hobby")

LONGEST = 60  # characters of a value; what is longer is prose, not an entry of a form
KEYS = {
    "name": "name, full name, first name, customer name, customer, persona, given name",
    "age": "age, age group, age range, years old",
    "gender": "gender, sex, gender identity",
    "nationality": "nationality, country, country of origin, citizenship, home country",
    "city": "city, location, residence, place of residence, hometown, home town, lives in, home, town",
    "education": "education, education level, level of education, educational background, degree",
    "job": "job, job title, occupation, profession, work, career, employment, works as",
    "income": "income, annual income, yearly income, household income, annual household income, salary, income level",
    "hobby": "hobby, hobbies, interests, interest, pastime, hobbies and interests, favorite hobby, favourite hobby",
}
ATTRIBUTE_OF = {key: attribute for attribute, keys in KEYS.items() for key in keys.split(", ")}
INCOMES = (25_000, 50_000, 75_000, 100_000, 150_000)  # a year, in whatever currency: the edges of the bins

_NOTHING = re.compile(
    r"(?:[\W_]*|n/?a|none|null|unknown|unspecified|not (?:specified|stated|given|known)|tbd|\[.*\]|<.*>|\{.*\}"
    r"|insert .*|your .*|(?:first |full )?name|age|gender|nationality|city|job|income|hobby|value)",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(r"(?:mr|mrs|ms|miss|dr|prof|professor|sir|mx)\b\.?\s+")
_TEN_WORDS = ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")
_TENS = {word: 10 * ten for ten, word in enumerate(_TEN_WORDS, start=2)}
_NATIONS = {
    "american": "usa, us, u.s, u.s.a, united states, united states of america, america, us-american",
    "british": "uk, u.k, united kingdom, great britain, england, english, scotland, scottish, wales, welsh, britain",
    "german": "germany", "french": "france", "italian": "italy", "spanish": "spain", "dutch": "netherlands, holland",
    "canadian": "canada", "australian": "australia", "indian": "india", "chinese": "china", "japanese": "japan",
    "korean": "korea, south korea, south korean", "mexican": "mexico", "brazilian": "brazil", "swedish": "sweden",
    "norwegian": "norway", "danish": "denmark", "finnish": "finland", "polish": "poland", "russian": "russia",
    "ukrainian": "ukraine", "irish": "ireland", "portuguese": "portugal", "greek": "greece", "turkish": "turkey",
    "swiss": "switzerland", "austrian": "austria", "belgian": "belgium", "nigerian": "nigeria", "kenyan": "kenya",
    "south african": "south africa", "egyptian": "egypt", "moroccan": "morocco", "israeli": "israel",
    "pakistani": "pakistan", "bangladeshi": "bangladesh", "vietnamese": "vietnam", "thai": "thailand",
    "indonesian": "indonesia", "filipino": "philippines, filipina", "argentinian": "argentina, argentine",
    "colombian": "colombia", "chilean": "chile", "new zealander": "new zealand", "singaporean": "singapore",
}  # fmt: skip
_NATION_OF = {country: people for people, countries in _NATIONS.items() for country in countries.split(", ")}
_GENDERS = {
    "female": "female, woman, f, girl, she, she/her, lady, cis woman, trans woman",
    "male": "male, man, m, boy, he, he/him, gentleman, cis man, trans man",
    "non-binary": "non-binary, nonbinary, non binary, genderqueer, they, they/them, enby",
}
_GENDER_OF = {word: gender for gender, words in _GENDERS.items() for word in words.split(", ")}
_DEGREES = {
    "doctorate": r"\bph\.?\s?d|doctor|\bmd\b",
    "master": r"\bmaster|\bmba\b|\bm\.?\s?(?:sc|a)\b",
    "bachelor": r"\bbachelor|\bb\.?\s?(?:sc|a|s)\b|\bundergraduate|college degree|university degree",
    "associate": r"\bassociate",
    "vocational": r"vocational|apprentice|trade school|technical|diploma in",
    "school": r"high school|secondary|\bged\b|middle school|\bschool\b",
    "some college": r"college|university|student",
}


def normalised(attribute: str, value: str) -> str:
    """The value as it is counted, or "" where it says nothing.

    Names: the first name, titles left out. Ages: the decade of the first number ("30-39"). Incomes: bins of the first
    number, a month times 12, an hour times 2,000, currencies alike ("50k-75k"). Cities: without region and country.
    Jobs: without employer. Education: the degree. Hobbies: the first of several.

    >>> normalised("age", "34 years old"), normalised("job", "Software Engineer at Acme."), normalised("name", "...")
    ('30-39', 'software engineer', '')
    """
    plain = tidy(value)
    if not plain or len(value) > 20 * LONGEST or _NOTHING.fullmatch(plain):
        return ""
    if attribute == "age":
        return _decade(plain)
    if attribute == "income":
        return _income(plain)
    bare = re.sub(r"\s*\([^)]*\)?", "", plain).strip()
    bare = _TITLE.sub("", bare) if attribute == "name" else bare
    bare = re.split(r";|\. |\s[-–—]\s|\s[|/]\s", bare)[0]
    if attribute == "name":
        bare = bare.split(" ")[0].split(",")[0] if len(bare) <= LONGEST else ""
    elif attribute == "gender":
        bare = _GENDER_OF.get(bare.split(",")[0].strip(), bare)
    elif attribute == "nationality":
        bare = bare.split(",")[0].removeprefix("the ").rstrip(".").strip()
        bare = _NATION_OF.get(bare, bare)
    elif attribute == "education":
        bare = next((degree for degree, pattern in _DEGREES.items() if re.search(pattern, bare)), bare)
    elif attribute == "city":
        bare = bare.split(",")[0].removeprefix("lives in ")
    elif attribute == "job":
        bare = re.split(r",|\s(?:at|for|in|with)\s", bare)[0].removeprefix("a ").removeprefix("an ")
    elif attribute == "hobby":
        bare = re.split(r",|&|/|\sand\s", bare)[0]
    bare = tidy(bare)
    return bare if len(bare) <= LONGEST and not _NOTHING.fullmatch(bare) else ""


def tidy(value: str) -> str:
    """Lower case, single spaces, no quotes around and no punctuation at the end."""
    plain = " ".join(unicodedata.normalize("NFC", value).split()).casefold()
    return plain.strip("\"'“”‘’`*_ ,;:|").rstrip(".!?,;: ") or plain.strip()


def _decade(plain: str) -> str:
    found = re.search(r"(?<!\d)\d{1,3}(?!\d)", plain)
    age = int(found[0]) if found else next((ten for word, ten in _TENS.items() if re.search(rf"\b{word}t", plain)), -1)
    return f"{age // 10 * 10}-{age // 10 * 10 + 9}" if 0 <= age <= 120 else ""


def _income(plain: str) -> str:
    # "50,000", "50.000" and "50 000" are fifty thousand; "1.5 million" keeps its point
    found = re.search(r"\d{1,3}(?:[,. ']\d{3})+(?!\d)|\d{1,9}(?:\.\d{1,2})?(?!\d)", plain)
    if not found:
        word = re.search(r"\b(?:upper.middle|lower.middle|middle|low|high|modest)\b", plain)
        return re.sub(r"\W", "-", word[0]) if word else ""
    grouped = re.fullmatch(r"\d{1,3}(?:[,. ']\d{3})+", found[0])
    amount = float(re.sub(r"[,. ']", "", found[0]) if grouped else found[0])
    if amount < 1000:
        if re.search(r"\d\s?(?:m|mio|million)\b", plain):
            amount *= 1e6
        elif re.search(r"\d\s?(?:k|thousand)\b", plain):
            amount *= 1e3
    if re.search(r"month|/\s?mo\b", plain):
        amount *= 12
    elif re.search(r"\bhour|/\s?h", plain):
        amount *= 2000
    if amount < 1000:  # a year's: no income, and "3" of "level 3" is none either
        return ""
    edges = (0, *INCOMES)
    low = max(edge for edge in edges if edge <= amount)
    place = edges.index(low)
    if place == len(edges) - 1:
        return f"{low // 1000}k+"
    return f"{low // 1000}k-{edges[place + 1] // 1000}k" if low else f"under {INCOMES[0] // 1000}k"
