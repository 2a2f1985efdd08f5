"""The cache that a service teaches and asks: the store, both indices and the head, in step.

One thread owns it: `classify`, everything that changes it, `support`, `install` and `swap` belong
to that thread. What only reads the store (lists, single shots, `info`, `version`) may be called
from any; `prepare`, and `publications`, from any one at a time. Other processes may have the same
cache open: what they changed counts for the next question here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from torch import Tensor

from adapter.encoder import Encoder
from adapter.fit import Method
from adapter.head import Scores
from adapter.prompts import DEFAULT_TEMPLATES
from indexer.adapters import Adapter, Adapters
from indexer.errors import CacheMissing
from indexer.fitting import CacheSnapshot, Fitted
from indexer.following import Publications
from indexer.index import IndexKind
from indexer.info import CacheInfo, info_of, stored_fit, stored_method
from indexer.labels import validate_label, validate_prompts
from indexer.live import Live, Prepared
from indexer.opening import check_origin, made_folder, origin_of
from indexer.records import (
    Cap,
    ClassInfo,
    Difference,
    Floats,
    Page,
    Reply,
    Request,
    Rows,
    ShotInfo,
    VersionInfo,
)
from indexer.shots import Added, NewShot, to_store
from indexer.store import Store
from indexer.text_features import TextFeatures

__all__ = ["Added", "Cache", "CacheSnapshot", "Fitted", "NewShot"]


class Cache:
    """See the module. Made by `Cache.open`; a context manager that closes it.

    Attributes:
        path: its folder.
        encoder: what its features are of.
        publications: which adapter is to serve.
    """

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        live: Live,
        publications: Publications,
        cap: Cap | None,
    ) -> None:
        """For `open` alone."""
        self.path = store.folder
        self.encoder = encoder
        self.publications = publications
        self._store = store
        self._live = live
        self._cap = cap
        self._texts = TextFeatures(encoder, store.origin.templates)

    @classmethod
    def open(
        cls,
        path: Path,
        encoder: Encoder,
        *,
        method: Method | None = None,
        templates: Sequence[str] | None = None,
        index: IndexKind = "auto",
        networks: Path | None = None,
        cap: Cap | None = None,
        preloaded: Rows | None = None,
        create: bool = True,
    ) -> Cache:
        """Open the cache in the folder `path`, or begin one there.

        Args:
            path: a folder; made where it is missing.
            encoder: must be the one that the cache was made with.
            method: which form answers; the last one used, if None.
            templates: prompts of classes without their own, with `{}` for the label; the cache's
                own, if None, or CLIP's usual one for a new cache.
            index: kind of the index of image keys. Text keys are narrow, and always exact.
            networks: a file of networks to answer with; those of the adapter that was published
                last, if None, or untrained ones where none was.
            cap: the most keys of a class, and what becomes of further shots; None: no end.
            preloaded: its rows, from `indexer.preloading`, where they are at hand.
            create: whether to begin a cache where there is none.

        Raises:
            CacheMissing: there is none, and `create` is false.
            CacheMismatch: it was made with another model, or with other templates.
            CacheDamaged: it is not as it was written.
            CacheBusy: another process has been writing for too long.
            CacheUnwritable: its folder cannot be made or written.
            PromptError: templates without `{}`.
            IndexUnavailable: a kind of index that cannot be had here.
            AdapterFileError: the file `networks` cannot be read, or is of another width. An
                adapter that cannot be is no error: see `Publications.first`.
        """
        if not create and not Store.exists(path):
            raise CacheMissing(f"no cache at {path}: build one, or teach a service that uses it")
        if not Store.exists(path):
            # Another process may have made it meanwhile: then it is that one's.
            with contextlib.suppress(FileExistsError):
                Store.create(made_folder(path), origin_of(encoder, templates or DEFAULT_TEMPLATES))
        with contextlib.ExitStack() as undo:
            store = Store(path)
            undo.callback(store.close)
            check_origin(store.origin, path, encoder, templates)
            if preloaded is None:
                store.check()
            if method is not None and method != store.meta("method"):
                store.set_meta("method", method)
            if store.meta("logit_scale") is None:
                store.set_meta("logit_scale", repr(float(encoder.logit_scale)))
            chosen = stored_method(store)
            publications = Publications(Adapters(path), encoder, networks)
            adapter = publications.first()
            live = Live(store, encoder, method=chosen, index=index, adapter=adapter, rows=preloaded)
            undo.pop_all()
        return cls(store, encoder, live, publications, cap)

    def close(self) -> None:
        """Close the store. What was acknowledged is on disk already."""
        self._store.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Asking

    @property
    def version(self) -> int:
        """How many changes there have been, by whomever."""
        return self._store.version

    @property
    def answered_version(self) -> int:
        """The version that the last answer was given with."""
        return self._live.version

    @property
    def fitted_version(self) -> int:
        """The version whose shots the numbers were fitted on."""
        return self._live.fitted_version

    @property
    def method(self) -> Method:
        """Which form answers."""
        return self._live.method

    @property
    def adapter(self) -> Adapter:
        """Whose networks answer."""
        return self._live.adapter

    @property
    def index(self) -> str:
        """The kind of the index of image keys."""
        return self._live.kinds[0]

    def classify(self, features: Tensor) -> Scores:
        """Score unit query features (B, D) against everything that was taught until now.

        Raises:
            EmptyCache: there is no class to choose from.
            FeatureError: another width, or numbers that are not finite.
        """
        return self._live.score(features)

    def shot_ids(self, rows: Iterable[int]) -> list[str]:
        """The shots at these rows of the last answer."""
        return self._live.memory.shot_ids(rows)

    def shots(
        self, label: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[ShotInfo]:
        """A page of shots, oldest first. Raises UnknownClass or CursorError."""
        return self._store.shots(label, limit, cursor)

    def shot(self, shot_id: str) -> ShotInfo:
        """One shot. Raises UnknownShot."""
        return self._store.shot(shot_id)

    def thumbnail(self, shot_id: str) -> bytes | None:
        """A shot's thumbnail (WebP); None if it came without an image. Raises UnknownShot."""
        return self._store.thumbnail(shot_id)

    def classes(self, limit: int = 100, cursor: str | None = None) -> Page[ClassInfo]:
        """A page of classes, oldest first. Raises CursorError."""
        return self._store.classes(limit, cursor)

    def class_info(self, label: str) -> ClassInfo:
        """One class. Raises UnknownClass."""
        return self._store.class_info(label)

    def find(self, sha256: str) -> tuple[str, str] | None:
        """Id and label of the shot with these bytes, if there is one."""
        return self._store.find(sha256)

    def info(self) -> CacheInfo:
        """What is in the cache."""
        image, text = self._live.kinds
        return replace(
            info_of(self._store),
            fit=self._live.fit,
            fitted_version=self.fitted_version,
            index=image,
            text_index=text,
            adapter=self.adapter.number,
            networks=self.publications.file,
        )

    # Changing. Each is on disk when it returns, or, within `group`, when that ends; `caller` is the
    # name that the history keeps.

    def group(self) -> AbstractContextManager[object]:
        """Changes within it are on disk together when it ends; one that raises is undone alone."""
        return self._store.group()

    def encode_ahead(self, labels: Iterable[str], captions: Iterable[str | None]) -> None:
        """Encode what texts are new, so that a `group` need not wait for it."""
        self._texts.forget()
        for label in labels:
            if not self._store.has_class(label):
                self._texts.of_class(label, None)
        wanted = (caption for caption in captions if caption)
        self._texts.of_captions(self._store.unknown_texts(wanted))

    def answer(self, request: Request) -> Reply | None:
        """What was answered under an idempotency key. Raises IdempotencyConflict."""
        return self._store.answer(request)

    def has_answer(self, key: str) -> bool:
        """Whether an idempotency key has been answered. From any thread."""
        return self._store.has_answer(key)

    def remember(self, request: Request, reply: Reply) -> None:
        """Keep an answer under its key; in one `group` with the change, for all or nothing."""
        self._store.remember(request, reply)

    def add(
        self,
        label: str,
        shots: Sequence[NewShot],
        *,
        relabel: bool = False,
        caller: str | None = None,
    ) -> Added:
        """Teach shots of one class: all of them, or none.

        A label not seen before makes a class. The same bytes under the same label are the shot
        that there is already.

        Args:
            label: of all the shots.
            shots: at least one.
            relabel: move an image that is known under another label.
            caller: see above.

        Raises:
            LabelError, PromptError: a label, or a caption, that is none.
            FeatureError: a feature that is none.
            LabelConflict: the same bytes have another label, and `relabel` is false.
            ClassFull: the class may have no more shots.
        """
        validate_label(label)
        if not shots:
            raise ValueError(f"expected at least one shot of {label!r}, got none")
        stored = to_store(shots, self.encoder.width)
        texts = self._store.unknown_texts(each.caption for each in stored if each.caption)
        result = self._store.add(
            label,
            stored,
            feature=self._feature_if_new(label),
            texts=self._texts.of_captions(texts),
            relabel=relabel,
            cap=self._cap,
            caller=caller,
        )
        return Added.of(label, result)

    def relabel(
        self, shot_id: str, label: str, *, caller: str | None = None
    ) -> tuple[ShotInfo, int]:
        """Move a shot to another class, which is made where there is none; it, and the version.

        Raises:
            LabelError: not a label.
            UnknownShot: no such shot.
            ClassFull: the class may have no more shots.
        """
        validate_label(label)
        version = self._store.relabel(
            shot_id, label, feature=self._feature_if_new(label), cap=self._cap, caller=caller
        )
        return self._store.shot(shot_id), version

    def forget(self, shot_id: str, *, caller: str | None = None) -> int:
        """Take a shot away; the version. Raises UnknownShot."""
        return self._store.forget(shot_id, caller=caller)

    def put_class(
        self, label: str, prompts: Sequence[str] | None = None, *, caller: str | None = None
    ) -> tuple[ClassInfo, bool, int]:
        """Make a class, or change its prompts; its shots without a caption follow.

        Args:
            label: of the class.
            prompts: its own, `{}` standing for the label; None for the cache's templates.
            caller: see above.

        Returns:
            The class, whether it is new, and the version.

        Raises:
            LabelError, PromptError: not a label, or not prompts.
        """
        validate_label(label)
        own = None if prompts is None else validate_prompts(prompts)
        feature = self._texts.of_class(label, own)
        created, version = self._store.put_class(label, own, feature, caller=caller)
        return self._store.class_info(label), created, version

    def delete_class(self, label: str, *, caller: str | None = None) -> tuple[int, int]:
        """Take a class and its shots away; how many these were, and the version.

        Raises:
            UnknownClass: no such class.
        """
        return self._store.delete_class(label, caller=caller)

    # History

    def versions(self, limit: int = 100, cursor: str | None = None) -> Page[VersionInfo]:
        """A page of all changes, newest first. Raises CursorError."""
        return self._store.versions(limit, cursor)

    def differences(self, before: int, after: int) -> list[Difference]:
        """What differs between two versions. Raises UnknownVersion."""
        return self._store.differences(before, after)

    def rollback(self, version: int, *, caller: str | None = None) -> int:
        """Have in force again what was at a version, as a further version; its number.

        Raises:
            UnknownVersion: there is no such version, or its history was compacted.
        """
        return self._store.rollback(version, caller=caller)

    # Fitting

    def support(self) -> CacheSnapshot:
        """A copy of all shots, for a fit on another thread."""
        return self._live.snapshot()

    def catch_up(self) -> int:
        """Have what the store has, whoever changed it, ready for the next answer; the version."""
        self._live.catch_up()
        self._live.refresh()
        return self._live.version

    def fitted(self, snapshot: CacheSnapshot) -> Fitted:
        """Numbers for a snapshot: another process's, where it has fitted to it. On any thread."""
        numbers, version = stored_fit(self._store, self.adapter.fit_name(self.method))
        if numbers is not None and version == snapshot.version:
            return snapshot.head(numbers)
        return snapshot.fit()

    def install(self, fitted: Fitted) -> None:
        """Keep fitted numbers, and answer with them from now on, with every shot that there is.

        Those of a fit that has been overtaken by a later one, or by another adapter, are dropped.
        """
        self._live.install(fitted)

    def refit(self) -> None:
        """Fit the numbers to the shots that there are, here and now."""
        self.install(self.support().fit())

    # Another adapter

    def prepare(self, adapter: Adapter) -> Prepared:
        """Do all that is slow in a change of adapter. Raises IndexUnavailable or CacheError."""
        return self._live.prepare(adapter)

    def swap(self, prepared: Prepared) -> None:
        """Answer with another adapter from now on, and with every shot that there is."""
        self._live.swap(prepared)

    def _feature_if_new(self, label: str) -> Floats | None:
        return None if self._store.has_class(label) else self._texts.of_class(label, None)
