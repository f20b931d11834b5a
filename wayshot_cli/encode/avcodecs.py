"""PyAV's codecs, set up for a screen that is recorded as it happens.

What a codec holds back is lost to a kill, and on a screen that rests only a repeated one pushes it
out. So no codec gets B-frames or lookahead: each picture comes back at once, or,
where x264 has two cores, with the next one.
"""

import contextlib
import io
import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from wayshot_cli.encode.avframes import PackedPicture, PlanarPicture
from wayshot_cli.encode.plain import PACKED
from wayshot_cli.encode.yuv import matrix, tags
from wayshot_cli.errors import InvalidArgumentError, UnsupportedError
from wayshot_cli.geometry import Size
from wayshot_cli.planes import YUV_FORMATS, Chroma, YuvTarget

if TYPE_CHECKING:
    from types import ModuleType

    import av

    from wayshot_cli.encode.avframes import Picture
    from wayshot_cli.encode.stream import VideoOptions
    from wayshot_cli.errors import WayshotError

_SECOND = 1_000_000_000
_NOMINAL_RATE = Fraction(60)  # what codecs and Matroska are told where the rate varies
_GOP = 250  # frames from one key frame to the next


class Format(NamedTuple):
    """A format of files: libavformat's name, its usual codec, and how it counts time.

    ``tick`` is its unit of time in seconds where the rate varies. Pictures of an animation are at
    least ``shortest`` and at most ``longest`` ticks apart; ``longest`` is 0 for video.
    """

    muxer: str
    codec: str
    tick: Fraction
    shortest: int = 1
    longest: int = 0


# What should be shorter than 20 ms (gif) or 11 ms (the others), browsers show for 100 ms.
FORMATS = {
    "mp4": Format("mp4", "libx264", Fraction(1, 90_000)),
    "mkv": Format("matroska", "libx264", Fraction(1, 1000)),
    "webm": Format("webm", "libvpx-vp9", Fraction(1, 1000)),
    "gif": Format("gif", "gif", Fraction(1, 100), 2, 0xFFFF),
    "apng": Format("apng", "apng", Fraction(1, 1000), 11, 0xFFFF),
    "webp": Format("webp", "libwebp_anim", Fraction(1, 1000), 11, 0xFFFFFF),
}


class Timing(NamedTuple):
    """The unit of time in seconds, and how many pictures a second there are, None if it varies."""

    tick: Fraction
    rate: Fraction | None

    @classmethod
    def of(cls, format_: str, rate: Fraction | None) -> "Timing":
        """Return the timing of a recording for which a rate is wished, or none."""
        kind = FORMATS[format_]
        return cls(kind.tick, None) if rate is None or kind.longest else cls(1 / rate, rate)

    def ticks(self, time_ns: int) -> int:
        """Return the tick that is nearest to a time."""
        return round(time_ns / (_SECOND * self.tick))

    @property
    def nominal_rate(self) -> Fraction:
        """The rate, or what stands for one that varies."""
        return self.rate or _NOMINAL_RATE

    @property
    def frame(self) -> int:
        """How many ticks a picture lasts, if nobody says more."""
        return max(1, round(1 / (self.nominal_rate * self.tick)))


class _Setup(NamedTuple):
    """A codec's options for pictures of a screen at 60 a second on two cores.

    ``quality`` is the option that sets a constant quality, ``usual`` what it is set to and
    ``worst`` its last value. Without ``usual`` the codec is told a bit rate.
    """

    options: dict[str, str]
    quality: str = "crf"
    usual: int | None = None
    worst: int | None = None


_X264 = {"preset": "superfast", "tune": "zerolatency", "rc-lookahead": "0"}
# Two slices of a picture leave the second core idle for a third of the time (182 frames of 1080p a
# second against 226), two pictures do not. Of more cores slices make more use.
_X264_ON_TWO_CORES = "sliced-threads=0:threads=2"
_VPX = {"deadline": "realtime", "lag-in-frames": "0"}
_VP9 = {**_VPX, "cpu-used": "7", "row-mt": "1", "tune-content": "screen"}
_AOM = {"usage": "realtime", "cpu-used": "8", "lag-in-frames": "0", "row-mt": "1"}
_SETUPS = {
    "libx264": _Setup(_X264, "crf", 21, 51),
    "libx264rgb": _Setup(_X264, "crf", 21, 51),
    "libx265": _Setup({"preset": "superfast", "tune": "zerolatency"}, "crf", 23, 51),
    "libvpx": _Setup({**_VPX, "cpu-used": "8"}, "crf", 10, 63),
    "libvpx-vp9": _Setup(_VP9, "crf", 24, 63),
    "libaom-av1": _Setup(_AOM, "crf", 24, 63),
    "libsvtav1": _Setup({"preset": "12", "svtav1-params": "pred-struct=1:rtc=1"}, "crf", 35, 63),
    "nvenc": _Setup({"rc": "vbr", "zerolatency": "1", "delay": "0"}, "cq", 23, 51),
    "qsv": _Setup({"preset": "veryfast", "async_depth": "1"}, "global_quality", 23, 51),
    # Screens are flat: they become smaller without loss than with it, and stay sharp.
    "apng": _Setup({"pred": "none", "compression_level": "1"}),
    "libwebp_anim": _Setup({"lossless": "1", "compression_level": "0"}),
}

# x264 and x265 complain of unknown words on stderr, past every log; so they are not asked.
_PRESETS = "ultrafast superfast veryfast faster fast medium slow slower veryslow placebo"
_X264_TUNES = "film animation grain stillimage psnr ssim fastdecode zerolatency"
_X265_TUNES = "psnr ssim grain zerolatency fastdecode animation"
_WORDS = {
    "libx264": {"preset": _PRESETS, "tune": _X264_TUNES},
    "libx264rgb": {"preset": _PRESETS, "tune": _X264_TUNES},
    "libx265": {"preset": _PRESETS, "tune": _X265_TUNES},
}

_PLANAR = ("yuv420p", "nv12", "yuv422p", "yuv444p", "yuv420p10le", "p010le")
_PREFERRED = tuple(dict.fromkeys((*_PLANAR, *YUV_FORMATS, *PACKED)))

# These take pictures of odd sizes though their chroma is halved.
_TAKE_ODD_SIZES = ("libvpx", "libvpx-vp9", "libaom-av1", "ffv1", "mjpeg", "mpeg4")


def import_pyav(format_: str) -> "ModuleType":
    """Import PyAV. Raises UnsupportedError, with the reason, when it cannot be."""
    try:
        import av  # noqa: PLC0415 - 55 ms, for such recordings alone
        import av.codec.codec  # noqa: PLC0415
        import av.filter  # noqa: PLC0415
        import av.logging  # noqa: PLC0415
    except ImportError as error:
        message = f"{format_} is written with PyAV, which cannot be imported: {error}"
        hint = "pip install 'wayshot-cli[video]'; y4m and raw do without"
        raise UnsupportedError(message, hint=hint) from error
    return av


def known_codecs() -> dict[str, bool]:
    """Tell which codecs this PyAV has of those that need no hardware and are set up here.

    Raises UnsupportedError without PyAV.
    """
    available = import_pyav("video").codecs_available
    return {name: name in available for name in _SETUPS if name.startswith("lib")}


class Encoding:
    """The codec, pixel format and settings that a file format and the options ask for."""

    def __init__(self, av: "ModuleType", format_: str, options: "VideoOptions") -> None:
        """Decide.

        Raises InvalidArgumentError for what is unknown or does not fit the rest, UnsupportedError
        when this PyAV lacks the format's usual codec.
        """
        self._av = av
        self._format = format_
        self._options = options
        is_animation = FORMATS[format_].longest > 0
        if is_animation:
            _check_animation(format_, options)
        self.codec = _find_codec(av, format_, None if is_animation else options.codec)
        name = self.codec.name
        # Those of hardware go by their kind: h264_nvenc, av1_nvenc.
        self._setup = _SETUPS.get(name) or _SETUPS.get(name.rpartition("_")[2]) or _Setup({})
        self._pixel_format = self._choose_pixel_format()
        self._planar = YUV_FORMATS.get(self._pixel_format)
        self._check_numbers()
        self._check_words()
        if not self._planar and (options.colorspace != "auto" or options.full_range is not None):
            message = f"{self._pixel_format} has no matrix and no range to choose"
            raise InvalidArgumentError(message)

    def coded_size(self, size: Size) -> Size:
        """Return the size of the pictures that the codec gets: even where it must be."""
        if not self._planar or self.codec.name in _TAKE_ODD_SIZES:
            return size
        x, y = self._planar.shift_x, self._planar.shift_y
        return Size(-(-size.width >> x << x), -(-size.height >> y << y))

    def picture(self, size: Size) -> "Picture":
        """Return what makes pictures for the codec out of frames of a size."""
        if self._pixel_format == "pal8":
            from wayshot_cli.encode.gif import PalettePicture  # noqa: PLC0415 - numpy costs 60 ms

            return PalettePicture(self._av, size)
        if not self._planar:
            return PackedPicture(self._av, self._pixel_format, size)
        space = matrix(self._options.colorspace, size)
        target = YuvTarget(self._planar, space, self._is_full_range, "left")
        return PlanarPicture(self._av, target, self.coded_size(size))

    def open(self, context: Any, timing: Timing, size: Size) -> None:
        """Open a context of the codec for frames of a size.

        Raises InvalidArgumentError when the codec refuses what was asked for, UnsupportedError
        when its hardware is not there.
        """
        self._configure(context, timing, size)
        try:
            context.open()
        except self._av.FFmpegError as error:
            raise self._refusal(self._reason(timing, size) or error.strerror) from error
        self._refuse_unknown(set(context.options))

    @property
    def _is_full_range(self) -> bool:
        """The range asked for, or what players expect of the codec and of luma alone."""
        if self._options.full_range is not None:
            return self._options.full_range
        is_gray = self._planar is not None and self._planar.chroma is Chroma.NONE
        return is_gray or "mjpeg" in self.codec.name

    def _choose_pixel_format(self) -> str:
        if self.codec.name == "gif":
            return "pal8"
        taken = [format_.name for format_ in self.codec.video_formats or ()]
        known = [name for name in _PREFERRED if name in taken or not taken]
        wish = self._options.pixel_format
        if wish is not None and wish not in known:
            message = f"{self.codec.name} cannot be given {wish!r}"
            raise InvalidArgumentError(message, hint=f"known are {', '.join(known)}")
        if not known:
            message = f"{self.codec.name} takes no pixel format that is known here"
            raise InvalidArgumentError(message, hint=f"it takes {', '.join(taken)}")
        # Codecs without any loss get RGB as it is; of WebP's kinds we choose that one.
        is_lossless = self.codec.lossless and not self.codec.lossy
        if is_lossless or self.codec.name == "libwebp_anim":
            known.sort(key=lambda name: name not in PACKED)
        return wish or known[0]

    def _check_numbers(self) -> None:
        options, worst = self._options, self._setup.worst
        if options.crf is not None and options.bitrate is not None:
            message = "a constant quality (crf) and a bit rate exclude each other"
            raise InvalidArgumentError(message)
        if options.crf is not None and worst and not 0 <= options.crf <= worst:
            message = f"crf {options.crf:g} is not from 0 to {worst}"
            raise InvalidArgumentError(message)
        for name, value in (("bit rate", options.bitrate), ("gop", options.gop)):
            if value is not None and not 0 < value < 2**31:
                message = f"{name} {value} is not from 1 to {2**31 - 1}"
                raise InvalidArgumentError(message)

    def _check_words(self) -> None:
        asked = dict(self._options.codec_options)
        asked.setdefault("preset", self._options.preset or "")
        for option, known in _WORDS.get(self.codec.name, {}).items():
            unknown = set(asked.get(option, "").replace(",", " ").split()) - set(known.split())
            if unknown:
                message = f"{self.codec.name} has no {option} {' '.join(sorted(unknown))!r}"
                raise InvalidArgumentError(message, hint=f"known are {known}")

    def _configure(self, context: Any, timing: Timing, size: Size) -> None:
        if self.codec.name == "libsvtav1":  # it has a log of its own, on stderr
            os.environ.setdefault("SVT_LOG", "0")
        context.width, context.height = self.coded_size(size)
        context.pix_fmt = self._pixel_format
        context.time_base = timing.tick
        context.framerate = timing.nominal_rate
        context.bit_rate = context.bit_rate_tolerance = self._bit_rate(size)
        context.options = self._codec_options(size)
        if self._format == "mp4" and ("265" in self.codec.name or "hevc" in self.codec.name):
            context.codec_tag = "hvc1"  # the one of two that Apple's players know

    def _bit_rate(self, size: Size) -> int:
        """Return the bits a second to aim at, 0 where the quality is constant."""
        if self._options.bitrate is not None:
            return self._options.bitrate
        if self._setup.usual is not None and self.codec.name != "libvpx":  # which wants a limit
            return 0
        return max(1_000_000, size.width * size.height * (60 if self.codec.intra_only else 6))

    @property
    def _has_two_cores_for_x264(self) -> bool:
        is_tuned = "tune" in dict(self._options.codec_options)  # which says how to thread
        cores = len(os.sched_getaffinity(0))
        return self.codec.name.startswith("libx264") and not is_tuned and cores == 2  # noqa: PLR2004

    def _codec_options(self, size: Size) -> dict[str, str]:
        """Return the codec's options: ours, then those that were asked for."""
        options, setup = self._options, self._setup
        chosen = {**setup.options, **self._colours(size)}
        if not FORMATS[self._format].longest:
            chosen |= {"bf": "0", "g": str(options.gop or _GOP)}
        if self._has_two_cores_for_x264:
            chosen["x264-params"] = _X264_ON_TWO_CORES
        if options.crf is not None:
            chosen[setup.quality] = f"{options.crf:g}"
        elif setup.usual is not None and options.bitrate is None:
            chosen[setup.quality] = str(setup.usual)
        if options.preset is not None:
            chosen["preset"] = options.preset
        chosen |= options.codec_options
        if self.codec.name == "libx265":  # it has a log of its own, too
            chosen["x265-params"] = f"log-level=none:{chosen.get('x265-params', '')}".rstrip(":")
        return chosen

    def _colours(self, size: Size) -> dict[str, str]:
        """Return what the numbers mean, and where chroma lies."""
        if self._pixel_format == "pal8":
            return {}
        said = tags(self._options.colorspace, size)
        if not self._planar:
            return {**said, "colorspace": "rgb", "color_range": "pc"}
        return {
            **said,
            "color_range": "pc" if self._is_full_range else "tv",
            "chroma_sample_location": "left",
        }

    def _reason(self, timing: Timing, size: Size) -> str:
        """Return what the codec says when it is opened once more, now with a log.

        The log is PyAV's. It can deadlock where codecs' own threads use it, so it is off elsewhere.
        """
        logging = self._av.logging
        context = self.codec.create("video")
        self._configure(context, timing, size)
        before = logging.get_level(), logging.get_skip_repeated()
        logging.set_level(logging.ERROR)
        logging.set_skip_repeated(v=False)
        try:
            with logging.Capture() as logs, contextlib.suppress(self._av.FFmpegError):
                context.open()
        finally:
            logging.set_level(before[0])
            logging.set_skip_repeated(before[1])
        said = [text.strip().rstrip(".") for _, source, text in logs if source != "Eval"]
        return "; ".join(dict.fromkeys(said))

    def _refusal(self, reason: str) -> "WayshotError":
        message = f"{self.codec.name} cannot be used: {reason}"
        kinds = self._av.codec.codec.Capabilities
        needs_hardware = self.codec.capabilities & (int(kinds.hardware) | int(kinds.hybrid))
        if needs_hardware and "Error setting option" not in reason:
            hint = f"{FORMATS[self._format].codec} needs no hardware"
            return UnsupportedError(message, hint=hint)
        return InvalidArgumentError(message)

    def _refuse_unknown(self, left: set[str]) -> None:
        """Raise InvalidArgumentError if something asked for is among what the codec left."""
        name, options = self.codec.name, self._options
        if options.crf is not None and self._setup.quality in left:
            message = f"{name} has no constant quality (crf)"
            raise InvalidArgumentError(message, hint="choose a bit rate")
        asked = [option for option, _ in options.codec_options]
        asked += ["preset"] if options.preset is not None else []
        for option in asked:
            if option in left:
                message = f"{name} has no option {option!r}"
                raise InvalidArgumentError(message, hint=f"ffmpeg -h encoder={name} lists them")


def _check_animation(format_: str, options: "VideoOptions") -> None:
    """Raise InvalidArgumentError for an option that gif, apng and webp do not have."""
    allowed = options._replace(codec_options=())
    if allowed.codec in (format_, FORMATS[format_].codec):
        allowed = allowed._replace(codec=None)
    for name, value in allowed._asdict().items():
        if value != options._field_defaults[name]:
            message = f"{format_} has no {name.replace('_', ' ')} to choose"
            raise InvalidArgumentError(message)


def _find_codec(av: "ModuleType", format_: str, name: str | None) -> "av.Codec":
    """Return the encoder that is asked for, or the format's usual one."""
    wanted = name or FORMATS[format_].codec
    suitable = _suitable_codecs(av, FORMATS[format_].muxer)
    hint = f"{format_} can hold {', '.join(suitable)}"
    try:
        codec = av.Codec(wanted, "w")
    except ValueError as error:
        message = f"this PyAV has no codec {wanted!r}"
        refusal = InvalidArgumentError if name else UnsupportedError
        raise refusal(message, hint=hint) from error
    if codec.name not in suitable:
        message = f"{format_} cannot hold {codec.name}"
        raise InvalidArgumentError(message, hint=hint)
    return codec  # type: ignore[no-any-return]


def _suitable_codecs(av: "ModuleType", muxer: str) -> list[str]:
    """Return the names of the video encoders whose output a muxer takes."""
    suitable = []
    for name in sorted(av.open(io.BytesIO(), "w", format=muxer).supported_codecs):
        with contextlib.suppress(ValueError):  # it is a decoder's name
            codec = av.Codec(name, "w")
            if codec.type == "video" and codec.name == name:
                suitable.append(name)
    return suitable
