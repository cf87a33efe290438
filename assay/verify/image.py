"""One image in a registry, held against its certificates: its name, its configuration and its layers.

The level is computed from the evidence that the certificates hold, by the gates of this installation; what they say
of themselves counts for nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from assay.attestation import Keys
from assay.certificate import LONGEST_LIFE, Certificate, Configuration, Policy, Suites
from assay.errors import VerificationFailed
from assay.registry import (
    LARGEST_CONFIG,
    Descriptor,
    ImageConfig,
    ImageManifest,
    NotThere,
    Reference,
    Repository,
    Source,
    dated_tag,
    decode,
    diff_id,
    image_of,
    tag,
)
from assay.verify.attached import days_of, signed_by_each, why_nothing
from assay.verify.verdict import USUAL, Demands, Verification, assess, hear, judged, sum_up


def verify(
    reference: Reference,
    key: Keys,
    suites: Suites,
    demands: Demands = USUAL,
    now: datetime.datetime | None = None,
) -> Verification:
    """Verify what a reference names.

    Raises `RegistryFailed` (exit 6) where the registry does not answer; everything else is in the verification.
    """
    with Repository(reference, plain_http=demands.plain_http) as repository:
        return verify_in(repository, key, suites, demands, now)


def verify_in(
    source: Source,
    key: Keys,
    suites: Suites,
    demands: Demands = USUAL,
    now: datetime.datetime | None = None,
) -> Verification:
    """Verify what the reference of a repository names, or of whatever else is read as one; as `verify`."""
    found = _asked(str(source.reference), key, demands.beside)
    policy = Policy(suites, max_age_days=demands.max_age_days, now=now)
    try:
        _verify(source, found, key, policy, demands)
    except VerificationFailed as error:
        found.problems.append(error.what)
    return found


def certificates(
    reference: Reference,
    key: Keys,
    suites: Suites,
    *,
    demands: Demands = USUAL,
    found: Verification | None = None,
    now: datetime.datetime | None = None,
) -> list[Certificate]:
    """The certificates of a published image, of each device the one that counts, judged as `verify` judges them.

    Of the demands the name counts, who else has to have signed, and the way to the registry. ``found`` gets what else
    is said of it.

    Raises `VerificationFailed` where there is none that is signed with this key, or one is malformed.
    """
    found = found or _asked(str(reference), key, demands.beside)
    policy = Policy(suites, max_age_days=LONGEST_LIFE, now=now)
    with Repository(reference, plain_http=demands.plain_http) as repository:
        content, config = _image(repository, found, demands.platform)
        of_the_image = [*found.problems]
        statements = signed_by_each(repository, found.digest, (key, demands.beside), found.ignored, now)
        hear(statements, found, now)
        found.problems[:] = of_the_image  # what is wrong with other statements is no matter of the certificates
        result = judged(statements, found, policy_for(policy, found.digest, content, config))
    if not result:
        nothing = f"no certificate of it is signed {found.named}{why_nothing(reference, found.ignored)}"
        problem = found.problems[0] if found.problems else nothing
        raise VerificationFailed(f"{reference}: {problem}", "Use the publisher's key; `assay verify` says more.")
    _check_name(reference, found, demands.name)
    found.problems += [opened.origin for opened in result if opened.origin]
    if found.problems:
        raise VerificationFailed(f"{reference}: {found.problems[0]}", "Do not use this image.")
    return result


def require_passed(found: Verification) -> None:
    """Raise `VerificationFailed` (exit 5) unless all held."""
    if not found.passed:
        todo = f"{found.todo} If this is it, do" if found.unsigned else "Do"
        raise VerificationFailed(f"{found.reference}: {found.problems[0]}", f"{todo} not use this image.")


def row(found: Verification) -> dict[str, object]:
    """A verification for programs."""
    return {
        "reference": found.reference,
        "digest": found.digest,
        "image": found.image,
        "platform": found.platform,
        "passed": found.passed,
        "level": found.level or None,
        "keys": found.keys,
        "identities": found.identities,
        "release": found.release or None,
        "ended": found.ended or None,
        "caches": list(found.caches),
        "certificates": [vars(assessment) for assessment in found.certificates],
        "statements": found.statements,
        "problems": found.problems,
        "ignored": found.ignored,
    }


def policy_for(policy: Policy, digest: str, content: ImageManifest, config: ImageConfig) -> Policy:
    """The policy for one image: its certificates are of its digest, its configuration and its layers."""
    about = Configuration(
        content.config.digest, config.rootfs.diff_ids, f"{config.os}/{config.architecture}", config.config.labels
    )
    return dataclasses.replace(policy, digest=digest, configuration=about)


def _asked(reference: str, key: Keys, beside: Keys | None) -> Verification:
    """What is not known yet of an image, for which these signatures are asked."""
    if beside is None:
        return Verification(reference, named=key.named, todo=key.todo)
    return Verification(reference, named=f"{key.named} and {beside.named}", todo=f"{key.todo} {beside.todo}")


def _verify(source: Source, found: Verification, key: Keys, policy: Policy, demands: Demands) -> None:
    content, config = _image(source, found, demands.platform)
    statements = signed_by_each(source, found.digest, (key, demands.beside), found.ignored, policy.now)
    hear(statements, found, policy.now)
    assess(judged(statements, found, policy_for(policy, found.digest, content, config)), found)
    if len(config.rootfs.diff_ids) != len(content.layers):
        found.problems.append("the manifest has more or fewer layers than the image's configuration")
    sum_up(source.reference, found, demands.require)
    _check_name(source.reference, found, demands.name)
    _check_tag(source.reference, found, config, days_of(statements))
    if not found.certificates or len(config.rootfs.diff_ids) != len(content.layers):
        return  # nothing that could hold: its layers are not asked for
    if demands.layers:
        _check_content(source, found, content.layers, config.rootfs.diff_ids)
    else:
        _check_sizes(source, found, content.layers)


def _image(source: Source, found: Verification, platform: str) -> tuple[ImageManifest, ImageConfig]:
    """The image that is meant; it is of the platform that was asked for, whatever an index calls it."""
    manifest, wanted = image_of(source, platform)
    found.digest = manifest.digest
    content = manifest.image()
    config = decode(source.blob(content.config, LARGEST_CONFIG), ImageConfig, "the image's configuration")
    found.platform = f"{config.os}/{config.architecture}"
    if wanted and found.platform != wanted:
        raise VerificationFailed(
            f"{wanted} was asked for, and the image is of {found.platform[:60]}", "Do not use this image for that."
        )
    return content, config


def _check_tag(reference: Reference, found: Verification, config: ImageConfig, days: Iterable[datetime.date]) -> None:
    """A tag says which version it is, and on which day it was certified; one that was moved to another image,
    certified as that may be, is named.
    """
    if reference.digest or reference.wanted == "latest":
        return
    wanted = tag(config.config.labels)
    if reference.tag not in {wanted, *(dated_tag(wanted, day) for day in days)}:
        found.problems.append(
            f"the tag {reference.tag} points to {found.image or 'an image'} {wanted}: it was moved, or is not ours; "
            f"name the digest if that is what you want"
        )


def _check_name(reference: Reference, found: Verification, name: str | None) -> None:
    """It is the image that was asked for, by its repository unless by name: one image of ours is none of another."""
    if not found.image:
        return
    if name is not None and name != found.image:
        found.problems.append(f"{name} was asked for, and the certificate is of {found.image}")
    if name is None and not f"/{reference.path}".endswith(f"/{found.image}"):
        found.problems.append(
            f"the repository is {reference.path}, and the certificate is of {found.image}; "
            f"if that is the image that you want: --name {found.image}"
        )


def _check_sizes(source: Source, found: Verification, layers: tuple[Descriptor, ...]) -> None:
    """Every layer is there with its size."""
    for layer in layers:
        size = source.size(layer.digest)
        if size is None:
            found.problems.append(f"the layer {layer.digest[:19]} is not in the registry")
        elif size != layer.size:
            found.problems.append(f"the layer {layer.digest[:19]} has {size} of {layer.size} bytes")


def _check_content(
    source: Source, found: Verification, layers: tuple[Descriptor, ...], diff_ids: tuple[str, ...]
) -> None:
    """Every layer, read whole, has its digest, and its tar the digest that was certified."""
    for layer, wanted in zip(layers, diff_ids, strict=True):
        try:
            unpacks_to = diff_id(source.stream(layer), layer.media_type)
        except (VerificationFailed, NotThere) as error:
            found.problems.append(error.what)
            continue
        if unpacks_to != wanted:
            found.problems.append(f"the layer {layer.digest[:19]} unpacks to other content than certified")
