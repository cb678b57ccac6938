"""Which properties of a user can be read for all users.

https://learn.microsoft.com/en-us/graph/api/user-list
https://learn.microsoft.com/en-us/graph/api/resources/user
"""

import re
from collections.abc import Iterable

LISTABLE = frozenset(
    "id deletedDateTime accountEnabled ageGroup assignedLicenses assignedPlans authorizationInfo businessPhones city"
    " companyName consentProvidedForMinor country createdDateTime creationType customSecurityAttributes department"
    " deviceEnrollmentLimit displayName employeeHireDate employeeId employeeLeaveDateTime employeeOrgData employeeType"
    " externalUserState externalUserStateChangeDateTime faxNumber givenName identities identityParentId imAddresses"
    " isManagementRestricted isResourceAccount jobTitle lastPasswordChangeDateTime legalAgeGroupClassification"
    " licenseAssignmentStates mail mailNickname mobilePhone officeLocation onPremisesDistinguishedName"
    " onPremisesDomainName onPremisesExtensionAttributes onPremisesImmutableId onPremisesLastSyncDateTime"
    " onPremisesProvisioningErrors onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled"
    " onPremisesUserPrincipalName otherMails passwordPolicies passwordProfile postalCode preferredDataLocation"
    " preferredLanguage print provisionedPlans proxyAddresses securityIdentifier serviceProvisioningErrors"
    " showInAddressList signInSessionsValidFromDateTime state streetAddress surname usageLocation userPrincipalName"
    " userType".split()
)
"""Properties of Graph's user type (v1.0) that a list of users may hold."""

SINGLE_USER_ONLY = frozenset(
    "aboutMe birthday hireDate interests mailboxSettings mySite pastProjects preferredName responsibilities schools"
    " skills".split()
)
"""Properties that Graph gives for one user at a time; in a list they are answered with 501."""

DEFAULT_SELECT = tuple(
    "id createdDateTime userPrincipalName displayName givenName surname mail jobTitle department officeLocation"
    " mobilePhone businessPhones preferredLanguage accountEnabled userType".split()
)

# Directory extensions are extension_{appId}_{name}, schema extensions {domain or ext...}_{name}: open-ended by design.
_EXTENSION = re.compile(r"[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]+")


def select_faults(names: Iterable[str]) -> list[str]:
    """One sentence for each name that cannot be read for a list of users; empty when all can."""
    faults: list[str] = []
    known = {name.lower(): name for name in LISTABLE | SINGLE_USER_ONLY}
    for name in names:
        if name in LISTABLE or _EXTENSION.fullmatch(name):
            continue
        if name in SINGLE_USER_ONLY:
            faults.append(f"{name} is given by Graph for one user at a time only, never in a list (501).")
        elif name == "signInActivity":
            faults.append(
                "signInActivity is limited by Graph to 10 requests a minute and needs AuditLog.Read.All and a Microsoft"
                " Entra ID P1 licence: a complete list would take hours."
            )
        elif name.lower() in known:
            faults.append(f"{name} is spelt {known[name.lower()]}.")
        else:
            faults.append(f"{name} is not a property of Graph's user type.")
    return faults
