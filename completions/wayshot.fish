# Completion of wayshot for fish: what "wayshot completions fish" prints.

# Tell whether the line is one of that command, whose words $argv are.
function __wayshot_is
    set -l words (commandline -opc)[2..]
    set -l command ''
    for path in "$words[1]" "$words[1] $words[2]"
        contains -- $path 'color' 'completions' 'config' 'config path' 'config show' 'doctor' 'headless' 'list' 'portal' 'portal forget' 'record'
        and set command $path
    end
    test "$command" = "$argv"
end

# Tell whether an option of these names may come.
function __wayshot_may
    set -l words (commandline -opc)[2..]
    contains -- -- $words
    and return 1
    string match -q -- '-*' (commandline -ct)
    or set -e words[-1] # whose value is what is asked for
    for name in $argv
        if contains -- $name $words
            or string match -q -- "$name=*" $words
            return 1
        end
    end
end

# Tell whether so many words are before the one that is asked for.
function __wayshot_after
    test (count (commandline -opc)) -eq $argv[1]
end

# Tell whether the word before the one that is asked for is that.
function __wayshot_follows
    test (commandline -opc)[-1] = $argv[1]
end

# Offer what the session has. Nothing of that is ever evaluated.
function __wayshot_live
    _WAYSHOT_COMPLETE=$argv[1] command wayshot 2>/dev/null
end

# Offer what the command after -- takes, which is somebody else's.
function __wayshot_after_dashes
    set -l words (commandline -opc)
    set -l dashes (contains -i -- -- $words)
    and __fish_complete_subcommand --commandline $words[(math $dashes + 1)..] (commandline -ct)
end

complete -c wayshot -n '__wayshot_is' -n '__wayshot_may' -s o -l output -x -k -a '(__wayshot_live outputs)' -d 'This output, or focused; again for several'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -g --region --geometry' -s g -l region -l geometry -x -d 'This \'X,Y WxH\' or WxH+X+Y; - for stdin'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -w --window' -s w -l window -x -k -a '(__wayshot_live windows)' -d 'This ID, app_id:NAME, title:TEXT or active'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -c --cursor' -s c -l cursor -d 'Paint the cursor'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_follows --select' -a 'region output window'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --select' -l select -f -a 'region output window' -d 'Select a region, an output or a window'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --selector' -l selector -x -d 'What asks for a region, instead of slurp'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --menu' -l menu -x -d 'What asks for a window, from lines'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --freeze' -l freeze -d 'Show the screen still while selecting'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -t --format' -s t -l format -x -a 'png jpeg webp avif tiff ppm qoi raw' -d 'png, jpeg, webp, avif, tiff, ppm, qoi, raw'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -l --level' -s l -l level -x -d 'Compression of PNG, 2 unless given'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -q --quality' -s q -l quality -x -d 'Quality of JPEG, WebP and AVIF'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -s --scale' -s s -l scale -x -d 'Pixels per logical unit, instead of native'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -d --delay' -s d -l delay -x -d 'Wait first'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --edit' -l edit -d 'Edit it in satty or swappy'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --editor' -l editor -x -d 'The editor instead, with the file as {}'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --clipboard' -l clipboard -d 'Copy it; to a FILE only if one is named'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --exec' -l exec -x -d 'Run this with the file as {}'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --notify' -l notify -d 'Notify of it, and of errors'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --metadata' -l metadata -d 'Note time, software and resolution in a PNG'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --mkdir' -l mkdir -d 'Make the folders that are missing'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --no-clobber' -l no-clobber -d 'Never replace an existing file'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --backend' -l backend -x -a 'auto image-copy screencopy export-dmabuf portal' -d 'auto, portal or a protocol (man wayshot)'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --buffer' -l buffer -x -a 'auto shm dmabuf' -d 'auto, shm, dmabuf'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --device' -l device -r -F -d 'Device for dmabufs, as /dev/dri/renderD128'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --timeout' -l timeout -x -d 'Longest wait for an answer, 5 unless given'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -v --verbose' -s v -l verbose -d 'Say on stderr what is done'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --portal-source' -l portal-source -x -a 'monitor window virtual' -d 'By the portal: monitor, window, virtual'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --portal-size' -l portal-size -x -d 'What a virtual monitor is to have'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --portal-remote-desktop' -l portal-remote-desktop -d 'Cast as part of a remote desktop'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --pipewire-node' -l pipewire-node -x -d 'A node of PipeWire\'s, without a portal'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --profile' -l profile -x -k -a '(__wayshot_live profiles)' -d 'A profile of the configuration, or none'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may --version' -l version -d 'Show the version and exit'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a color -d 'Print the colour of a pixel'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a completions -d 'Print the completion script of a shell'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a config -d 'Show what is configured'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a doctor -d 'Tell what this session offers, and what wayshot makes of it'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a headless -d 'Take a picture of a program, with no desktop'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a list -d 'List outputs and windows'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a portal -d 'Manage what the portal has allowed'
complete -c wayshot -n '__wayshot_is' -n '__wayshot_after 1' -a record -d 'Record a Wayland screen'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may -f --format' -s f -l format -x -a 'hex rgb hsl oklch' -d 'hex, rgb, hsl, oklch'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --json' -l json -d 'Print everything, for programs'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --clipboard' -l clipboard -d 'Copy what is printed, too'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --freeze' -l freeze -d 'Show the screen still while pointing'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --selector' -l selector -x -d 'What asks for a region, instead of slurp'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --backend' -l backend -x -a 'auto image-copy screencopy export-dmabuf portal' -d 'auto, portal or a protocol (man wayshot)'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --buffer' -l buffer -x -a 'auto shm dmabuf' -d 'auto, shm, dmabuf'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --device' -l device -r -F -d 'Device for dmabufs, as /dev/dri/renderD128'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --timeout' -l timeout -x -d 'Longest wait for an answer, 5 unless given'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may -v --verbose' -s v -l verbose -d 'Say on stderr what is done'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may --profile' -l profile -x -k -a '(__wayshot_live profiles)' -d 'A profile of the configuration, or none'
complete -c wayshot -n '__wayshot_is color' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is color' -f
complete -c wayshot -n '__wayshot_is completions' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is completions' -n '__wayshot_after 2' -a 'bash fish zsh'
complete -c wayshot -n '__wayshot_is completions' -f
complete -c wayshot -n '__wayshot_is config' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is config' -n '__wayshot_after 2' -a path -d 'Print which file is read'
complete -c wayshot -n '__wayshot_is config' -n '__wayshot_after 2' -a show -d 'Check the file, and print what is in force and whence'
complete -c wayshot -n '__wayshot_is config' -f
complete -c wayshot -n '__wayshot_is config path' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is config path' -f
complete -c wayshot -n '__wayshot_is config show' -n '__wayshot_may --profile' -l profile -x -k -a '(__wayshot_live profiles)' -d 'With this profile'
complete -c wayshot -n '__wayshot_is config show' -n '__wayshot_may --json' -l json -d 'Print it for programs'
complete -c wayshot -n '__wayshot_is config show' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is config show' -f
complete -c wayshot -n '__wayshot_is doctor' -n '__wayshot_may --json' -l json -d 'Print everything, for reports of bugs'
complete -c wayshot -n '__wayshot_is doctor' -n '__wayshot_may --timeout' -l timeout -x -d 'Longest wait for an answer, 5 unless given'
complete -c wayshot -n '__wayshot_is doctor' -n '__wayshot_may --profile' -l profile -x -k -a '(__wayshot_live profiles)' -d 'A profile of the configuration, or none'
complete -c wayshot -n '__wayshot_is doctor' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is doctor' -f
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --size' -l size -x -d 'Of the screen, in pixels; 1280x720 unless given'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --scale' -l scale -x -d 'Of the screen: pixels per logical unit'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --compositor' -l compositor -x -a 'auto sway labwc cage' -d 'auto, sway, labwc, cage'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may -d --delay' -s d -l delay -x -d 'Wait so long after it has shown something'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --save' -l save -r -F -d 'Where the picture goes, as FILE of wayshot'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --record' -l record -r -F -d 'Record instead, until the program ends'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --duration' -l duration -x -d 'End the recording'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --mkdir' -l mkdir -d 'Make the folders that are missing'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --timeout' -l timeout -x -d 'Longest wait for the program to show something, 30 unless given'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may -v --verbose' -s v -l verbose -d 'Show what the program and the compositor print'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may --profile' -l profile -x -k -a '(__wayshot_live profiles)' -d 'A profile of the configuration, or none'
complete -c wayshot -n '__wayshot_is headless' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is headless' -a '(__wayshot_after_dashes)'
complete -c wayshot -n '__wayshot_is headless' -f
complete -c wayshot -n '__wayshot_is list' -n '__wayshot_may --json' -l json -d 'Print everything, for programs'
complete -c wayshot -n '__wayshot_is list' -n '__wayshot_may --timeout' -l timeout -x -d 'Longest wait for an answer, 5 unless given'
complete -c wayshot -n '__wayshot_is list' -n '__wayshot_may --profile' -l profile -x -k -a '(__wayshot_live profiles)' -d 'A profile of the configuration, or none'
complete -c wayshot -n '__wayshot_is list' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is list' -f
complete -c wayshot -n '__wayshot_is portal' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is portal' -n '__wayshot_after 2' -a forget -d 'Forget its permissions: it asks again'
complete -c wayshot -n '__wayshot_is portal' -f
complete -c wayshot -n '__wayshot_is portal forget' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
complete -c wayshot -n '__wayshot_is portal forget' -f
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may' -s o -l output -x -k -a '(__wayshot_live outputs)' -d 'This output, or focused; again for several'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -g --region --geometry' -s g -l region -l geometry -x -d 'This \'X,Y WxH\' or WxH+X+Y; - for stdin'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -w --window' -s w -l window -x -k -a '(__wayshot_live windows)' -d 'This ID, app_id:NAME, title:TEXT or active'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -c --cursor' -s c -l cursor -d 'Paint the cursor'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_follows --select' -a 'region output window'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --select' -l select -f -a 'region output window' -d 'Select a region, an output or a window'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --selector' -l selector -x -d 'What asks for a region, instead of slurp'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --menu' -l menu -x -d 'What asks for a window, from lines'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -t --format' -s t -l format -x -a 'y4m raw mp4 mkv webm gif apng webp' -d 'y4m, raw, mp4, mkv, webm, gif, apng, webp; else by the extension'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -r --fps' -s r -l fps -x -d 'Constant rate, as 30 or 30000/1001. y4m and raw: the screen\'s, at most 60'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --duration' -l duration -x -d 'End by itself'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --frames' -l frames -x -d 'End after so many frames'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -d --delay' -s d -l delay -x -d 'Wait first'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --pixel-format' -l pixel-format -x -a 'bgr0 rgb0 bgr24 rgb24 bgra rgba yuv420p yuv422p yuv444p yuv420p10le yuv422p10le yuv444p10le nv12 p010le gray gray10le' -d 'Of y4m, raw and video, in ffmpeg\'s names, as yuv444p'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --colorspace' -l colorspace -x -a 'auto bt709 bt601' -d 'Matrix of YUV: auto (by the size), bt709, bt601'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --color-range' -l color-range -x -a 'limited full' -d 'Of YUV: limited (unless given) or full'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --timestamps' -l timestamps -r -F -d 'raw: variable rate; the times of the frames go to FILE'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --codec' -l codec -x -d 'libx264 unless given; as hevc_nvenc, h264_qsv'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --crf' -l crf -x -d 'Constant quality; less is better'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --preset' -l preset -x -d 'The codec\'s, as ultrafast or slow'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --bitrate' -l bitrate -x -d 'Bits per second, as 5M'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --gop' -l gop -x -d 'Frames between key frames'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may' -l codec-option -x -d 'Any other option of the codec; again for several'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --encoder' -l encoder -x -a 'auto ffmpeg' -d 'ffmpeg: pipe to the system\'s ffmpeg'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --encoder-args' -l encoder-args -x -d 'What ffmpeg is given for its output, in one word'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --no-damage' -l no-damage -d 'Capture every frame, changed or not'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --on-resize' -l on-resize -x -a 'scale pad stop segment' -d 'When the size changes: scale, pad, stop, segment'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --on-lost' -l on-lost -x -a 'stop wait' -d 'When the target goes away: stop, or wait for it'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --exec' -l exec -x -d 'Run this with the file as {}'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --notify' -l notify -d 'Notify of it, and of errors'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --mkdir' -l mkdir -d 'Make the folders that are missing'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --no-clobber' -l no-clobber -d 'Never replace an existing file'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --quiet' -l quiet -d 'Say nothing but errors'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --backend' -l backend -x -a 'auto image-copy screencopy export-dmabuf portal' -d 'auto, portal or a protocol (man wayshot)'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --buffer' -l buffer -x -a 'auto shm dmabuf' -d 'auto, shm, dmabuf'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --device' -l device -r -F -d 'Device for dmabufs, as /dev/dri/renderD128'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --timeout' -l timeout -x -d 'Longest wait for an answer, 5 unless given'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -v --verbose' -s v -l verbose -d 'Say on stderr what is done'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --portal-source' -l portal-source -x -a 'monitor window virtual' -d 'By the portal: monitor, window, virtual'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --portal-size' -l portal-size -x -d 'What a virtual monitor is to have'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --portal-remote-desktop' -l portal-remote-desktop -d 'Cast as part of a remote desktop'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --pipewire-node' -l pipewire-node -x -d 'A node of PipeWire\'s, without a portal'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may --profile' -l profile -x -k -a '(__wayshot_live profiles)' -d 'A profile of the configuration, or none'
complete -c wayshot -n '__wayshot_is record' -n '__wayshot_may -h --help' -s h -l help -d 'Show this message and exit'
