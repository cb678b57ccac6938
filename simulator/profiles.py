"""Who the generated users are: a fixed number of made-up people, from whom every generated user takes after one.

A profile is a user with marks in it where users who share it differ: their number, id and dates.
"""

import random
from collections.abc import Sequence
from functools import cache

from simulator.properties import Record

PROFILES = 1021
"""How many there are; a prime, so that users who share one are spread over everything counted in round numbers."""

DOMAIN = "contoso.onmicrosoft.com"

# Private-use characters, so that no made-up text holds one by chance.
NUMBER, ID_HEAD, ID_TAIL, CREATED, SINCE = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004"
"""The marks: number of the user, first 8 and last 12 digits of the id, date of creation (or null), a date at hand."""

_GIVEN = [
    ("Adele", "adele"), ("Zoë", "zoe"), ("José", "jose"), ("Łukasz", "lukasz"), ("Søren", "soren"), ("Megan", "megan"),
    ("Nguyễn", "nguyen"), ("Ольга", "olga"), ("丽", "li"), ("محمد", "mohammed"), ("Ángel", "angel"), ("Diego", "diego"),
    ("Siobhán", "siobhan"), ("Mary-Jane", "mary-jane"), ("D'Arcy", "d'arcy"), ("Joni", "joni"), ("ゆき", "yuki"),
    ("Grégory", "gregory"), ("Lidia", "lidia"), ("Jürgen", "jurgen"), ("अनिता", "anita"), ("Pradeep", "pradeep"),
]  # fmt: skip
_SURNAMES = [
    ("O'Brien", "o'brien"), ("Müller-Lüdenscheidt", "mueller-luedenscheidt"), ("Vance", "vance"), ("Kovač", "kovac"),
    ("van der Berg", "vanderberg"), ("García Márquez", "garciamarquez"), ("Smith, Jr.", "smith"), ("王", "wang"),
    ("Øvergård", "overgard"), ("Ивано́ва", "ivanova"), ("Bowen", "bowen"), ("İnönü", "inonu"), ("Holloway", "holloway"),
    ("Sçhmidt \"Smitty\"", "schmidt"), ("Wilber", "wilber"), ("de Souza", "desouza"), ("McDonald", "mcdonald"),
]  # fmt: skip
_ODD_NAMES = [
    "=SUM(1)", "+41 Reception", "-Temp", "@Kiosk", "Room \"Blue\", 2nd floor", "100 % Service %s %(x)s", "\tTab",
    "<b>Bold</b> & Co", "back\\slash", "👩🏽‍💻 Dev", "{\"id\":1},{\"x\":[", "Ada\u2028Byron", "عمر", "]}",
    "\r\nBreak", "'quoted'",
]  # fmt: skip
_TITLES = ["Engineer", "Senior Engineer", "Auditor", "Sales Rep.", "VP, Marketing", "Director; R&D", "Intern", "CVP"]
_DEPARTMENTS = ["Engineering", "Finance", "Legal", "Sales & Marketing", "Operations", "R&D", "HR"]
_OFFICES = ["18/2111", 'Building 4 "East"', "Zürich; Floor 2", "131/1104", "東京", "24/1106"]
_COUNTRIES = [("CH", "Switzerland", "Zürich"), ("US", "United States", "Redmond"), ("BR", "Brasil", "São Paulo")]
_LANGUAGES = ["en-US", "de-CH", "pt-BR", "ja-JP"]
_E5 = "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
_E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
_NO_DATE = "0001-01-01T00:00:00Z"


VARYING = frozenset(
    "createdDateTime employeeId externalUserStateChangeDateTime id identities imAddresses lastPasswordChangeDateTime"
    " mail mailNickname onPremisesDistinguishedName onPremisesImmutableId onPremisesSamAccountName otherMails"
    " proxyAddresses securityIdentifier signInSessionsValidFromDateTime userPrincipalName".split()
)
"""The properties that hold a mark; in all others, users who share a profile are alike."""


@cache
def profiles(seed: int) -> Sequence[Record]:
    """The people of this seed, with marks; profile `i % PROFILES` is the one of user `i`. Not to be changed."""
    return [_profile(number, random.Random(f"{seed}/{number}")) for number in range(PROFILES)]  # noqa: S311 (made up)


def _profile(number: int, choice: random.Random) -> Record:
    given, given_slug = choice.choice(_GIVEN)
    surname, surname_slug = choice.choice(_SURNAMES)
    country, country_name, city = choice.choice(_COUNTRIES)
    display_name = choice.choice([f"{given} {surname}", f"{surname}, {given}", f"{given} {surname} ({city})"])
    if number % 8 == 3:  # one in eight, and in the smallest directories too
        display_name = _ODD_NAMES[number // 8 % len(_ODD_NAMES)]
    guest = number % 10 == 6
    # No slug holds a digit, so that the number ends a user name and no two users share one.
    name = f"{given_slug}.{surname_slug}{NUMBER}"
    address = f"{name}@fabrikam.example" if guest else f"{name}@contoso.com"
    principal = f"{name}_fabrikam.example#EXT#@{DOMAIN}" if guest else f"{name}@{DOMAIN}"
    person: Record = {
        "id": f"{ID_HEAD}-{choice.randrange(1 << 16):04x}-4{choice.randrange(1 << 12):03x}"
        f"-{choice.choice('89ab')}{choice.randrange(1 << 12):03x}-{ID_TAIL}",
        "accountEnabled": choice.random() < 0.93,
        "birthday": _NO_DATE,
        "businessPhones": [f"+1 425 555 {choice.randrange(10_000):04}"] if choice.random() < 0.6 else [],
        "createdDateTime": CREATED,
        "deviceEnrollmentLimit": 5,
        "displayName": display_name,
        "hireDate": _NO_DATE,
        "identities": [{"signInType": "userPrincipalName", "issuer": DOMAIN, "issuerAssignedId": principal}],
        "lastPasswordChangeDateTime": SINCE,
        "onPremisesExtensionAttributes": dict.fromkeys(f"extensionAttribute{n}" for n in range(1, 16)),
        "securityIdentifier": f"S-1-12-1-{choice.randrange(1 << 32)}-{choice.randrange(1 << 32)}-{NUMBER}",
        "signInSessionsValidFromDateTime": SINCE,
        "userPrincipalName": principal,
        "userType": "Guest" if guest else "Member",
    }
    if choice.random() < 0.95:
        person |= {"mail": address, "proxyAddresses": [f"SMTP:{address}"], "imAddresses": [address]}
    if guest:
        person |= {"creationType": "Invitation", "externalUserState": choice.choice(["Accepted", "PendingAcceptance"])}
        person |= {"externalUserStateChangeDateTime": SINCE, "otherMails": [address]}
    else:
        person |= _employment(number, choice) | {"city": city, "country": country_name, "usageLocation": country}
    if choice.random() < 0.9:
        person |= {"givenName": given, "surname": surname, "mailNickname": name}
    if choice.random() < 0.5:
        person["signInActivity"] = {
            "lastSignInDateTime": f"2026-0{choice.randrange(1, 7)}-1{choice.randrange(10)}T08:00:00Z",
            "lastSignInRequestId": f"{choice.randrange(1 << 32):08x}-0000-4000-8000-{choice.randrange(1 << 48):012x}",
        }
    return person


def _employment(number: int, choice: random.Random) -> Record:
    sku = choice.choice([_E3, _E5])
    person: Record = {
        "assignedLicenses": [{"disabledPlans": [], "skuId": sku}],
        "companyName": "Contoso",
        "department": choice.choice(_DEPARTMENTS),
        "employeeId": f"E{NUMBER}",
        "jobTitle": choice.choice(_TITLES),
        "licenseAssignmentStates": [{"skuId": sku, "state": "Active", "error": "None", "disabledPlans": []}],
        "officeLocation": choice.choice(_OFFICES),
        "streetAddress": "1 Microsoft Way\r\nRear entrance",
    }
    optional: Record = {
        "employeeHireDate": "2020-02-29T00:00:00Z",
        "employeeOrgData": {"costCenter": f"CC-{number}", "division": "Küche"},
        "employeeType": "Employee",
        "faxNumber": "+1 425 555 0199",
        "mobilePhone": f"+1 425 555 {choice.randrange(10_000):04}",
        "postalCode": "8001",
        "preferredLanguage": choice.choice(_LANGUAGES),
        "state": "WA",
    }
    person |= {name: value for name, value in optional.items() if choice.random() < 0.8}
    if choice.random() < 0.4:
        person |= {
            "onPremisesDistinguishedName": f"CN=E{NUMBER},OU=People\\, All,DC=contoso,DC=com",
            "onPremisesDomainName": "contoso.com",
            "onPremisesImmutableId": f"{NUMBER}==",
            "onPremisesLastSyncDateTime": "2026-07-01T03:00:00Z",
            "onPremisesSamAccountName": f"E{NUMBER}",
            "onPremisesSyncEnabled": True,
        }
    return person
