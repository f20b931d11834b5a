"""PipeWire streams of video, through the system's libpipewire: what the ScreenCast portal gives."""
