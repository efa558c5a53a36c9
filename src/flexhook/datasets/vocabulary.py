"""The words by which expressions name the attributes of their referents.

A group is a table of ``value: pattern, pattern, ...``; a pattern is a regular expression of whole words in lower case,
without hyphens and punctuation. Values are searched from the top, and words that one value has taken are not seen by
the next.
"""

from __future__ import annotations

import re

_US = "(?:ours|us|ourselves|me|you|my own|our own|the camera|the viewer|the observer)"
_VEHICLE = "(?:cars?|vehicles?|autos?|automobiles?)"
_WAY = "(?:directions?|ways?|paths?|course|heading|orientation)"

#: The observer's own car in all its names: it is no referent.
OBSERVER = re.compile(
    r"\b(?:the )?(?:car|vehicle) (?:that has an ego|with (?:an|the) ego|being driven by the ego)\b"
    rf"|\b(?:the |our |an? )?(?:ego|self centered|own)(?: own)? {_VEHICLE}\b|\b(?:the )?ego\b"
    rf"|\b(?:our|my)(?: own)? {_VEHICLE}\b|\bthe ones we have\b|\b(?:our|my) own\b"
)

#: "In front", in which "right" ("right in front of us") is no side.
FRONT = re.compile(
    r"\b(?:right |directly |straight |just )?(?:in|to the|at the) front(?: of)?\b"
    r"|\b(?:up |right |directly |straight )?ahead of\b|\b(?:right |straight )ahead\b"
    rf"|\bbefore (?:{_US}|our)\b|\bpreceding\b|\bleading {_US}\b"
)

_TABLES = {
    "class": """
        cyclist: (?:bi)?cyclists?, (?:bike |bicycle )?riders?, riding (?:a |their )?(?:bikes?|bicycles?)
        woman: wom[ae]n, womenfolk, lad(?:y|ies), females?, feminine, fairer sex, girls?
        man: m[ae]n, gentlem[ae]n, guys?, males?, masculine, boys?, fellows?
        child: child(?:ren)?, kids?, bab(?:y|ies), toddlers?
        motorcycle: motorcycl(?:es?|ists?), motorbikes?, scooters?, mopeds?, motor(?! vehicles?)
        truck: trucks?, lorr(?:y|ies)
        bus: bus(?:es)?, coaches
        van: (?:mini)?vans?
        tram: trams?, trains?, streetcars?
        car: cars?, autos?, automobiles?, sedans?, hatchbacks?, suvs?, taxis?, cabs?
        vehicle: (?:motor )?vehicles?
        person: pedestrians?, people, persons?, individuals?, folks?, humans?(?: beings?)?, someone, somebody, walkers?
        person: dancers?, players?, athletes?, figures?, passers ?by, strollers?, whose, who, on foot
        person: those (?:walking|standing|strolling), t ?shirts?, shirts?, tees?, tops?, jeans, pants, trousers, denims?
        person: coats?, jackets?, skirts?, dress(?:es)?, hoodies?, sweaters?, shorts, hats?, bottoms
        person: backpacks?, handbags?, bags?, totes?
        bicycle: bicycles?, bikes?, tricycles?
        """,
    "colour": """
        light: light(?:er)?(?: ?colou?r(?:ed|s)?| hues?| hued| shades?| tones?)?, pale, bright(?:ly)?
        dark: dark(?:er)?(?: ?colou?r(?:ed|s)?| hues?| hued| shades?| tones?)?
        black: black
        white: white
        silver: silver
        gray: gr[ae]y
        red: red, crimson, scarlet
        blue: blue, navy, azure
        green: green
        yellow: yellow
        orange: orange
        brown: brown, tan
        purple: purple, violet
        pink: pink
        beige: beige
        golden: gold(?:en)?
        """,
    "side": f"""
        left: left, leftmost, leftwards?, port side
        right: right, rightmost, rightwards?, starboard
        middle: middle, cent(?:er|re)
        behind: behind {_US}, (?:in|at) the rear
        """,
    "direction": rf"""
        facing away: backs? (?:\w+ ){{0,4}}the camera, facing away, with their backs
        facing away: fac\w+ (?:\w+ ){{0,4}}opposite direction of the camera
        opposite: opposite, opposing, counter, contrary, reverse, oncoming, other {_WAY}, against {_US}, against our
        opposite: coming (?:towards?|at) {_US}
        same: (?:same|similar|identical) (?:\w+ )?{_WAY}, parallel to, in the direction of {_US}, with {_US}
        same: following {_US}, our {_WAY}, alongside
        crossing: cross(?:ing|es)?, sideways, perpendicular, across, transvers\w+, lateral\w*
        """,
    "motion": rf"""
        turning: turn(?:s|ing|ed)?, chang\w+ directions?, veering, swerving, rounding (?:a|the) corner
        parked: park(?:ed|ing|s)?
        braking: brak(?:es?|ed|ing), stop(?:ped|ping|s)?, slow(?:ed|ing|s)? down, decelerat\w+, halt(?:ed|ing)?
        stationary: stationary, static, motionless, not moving, at rest, idl(?:e|ing), immobile, still, waiting
        faster: faster, quick(?:er|ly)?, speed(?:ier|y|ing)?, rapid(?:ly)?, swift(?:ly)?, outpac\w+, exceed\w*, fast
        faster: overtak\w+
        slower: slow(?:er|ly)?
        approaching: (?:getting|coming|moving|drawing|driving|walking) (?:closer|nearer), approach\w*
        approaching: (?:coming|moving|driving|walking|heading) (?:towards?|at) {_US}
        receding: (?:moving|going|driving|walking|getting|heading|pulling) (?:further |farther )?away(?: from)?
        receding: getting (?:farther|further), reced\w+, leaving, departing
        walking: walk(?:s|ed|ing)?, walkers, stroll(?:s|ed|ing|ers)?, strid\w+
        running: run(?:s|ning)?, jog(?:s|ging)?
        standing: stand(?:s|ing)?, stood, upright
        sitting: sit(?:s|ting)?, seated
        dancing: dancing, dacning, dances?
        riding: riding, rides?
        moving: mov(?:e|es|ed|ing), motion, movement, on the (?:go|road), in transit, travell?(?:ing|s)?
        moving: driv(?:ing|es?|en), going, head(?:ing|ed|s), coming, proceed\w*, cruising, relocating, transferring
        moving: advancing, under way
        """,
    "distance": """
        near: near(?:by|er|est)?, close(?:st)?, next to, in the foreground, short distance, not far
        far: far, distant, farthest, furthest, in the (?:distance|background), a long way, remote
        """,
}


def _compile(table: str) -> list[tuple[str, re.Pattern[str]]]:
    rules = []
    for line in filter(None, map(str.strip, table.split("\n"))):
        value, _, patterns = line.partition(": ")
        rules.append((value, re.compile(rf"\b(?:{'|'.join(re.split(r', (?![^{]*})', patterns))})\b")))
    return rules


#: Attribute group -> (value, pattern) from the most to the least specific.
RULES: dict[str, list[tuple[str, re.Pattern[str]]]] = {name: _compile(table) for name, table in _TABLES.items()}
