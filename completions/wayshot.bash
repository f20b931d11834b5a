# Completion of wayshot for bash: what "wayshot completions bash" prints.

_wayshot() {
    local IFS=$' \t\n' command=wayshot raw='' kept='' skip='' plain quote outside word i dashes=0
    local -a words=() given=() options commands argument values=()
    COMPREPLY=()

    # readline takes words apart at = : and @, too (COMP_WORDBREAKS): they are put together again.
    # raw is the last one as it is typed; of that, kept stays on the line whatever is answered.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]})) && [[ $word =~ ^[=:@]+$ ]]; then
            words[-1]+=$word kept=${words[-1]}
        elif ((${#words[@]})) && [[ ${COMP_WORDS[i - 1]} =~ ^[=:@]+$ ]]; then
            kept=${words[-1]} words[-1]+=$word
        else
            words+=("$word") kept=''
        fi
        [[ $word != -- ]] || ((dashes || i == COMP_CWORD)) || dashes=$i
    done
    ((${#words[@]})) || return
    raw=${words[-1]}
    unset 'words[-1]'

    # A command is one as the first word only.
    _wayshot_command
    while ((${#words[@]})) && [[ " ${commands[*]} " == *" ${words[0]} "* ]]; do
        command+=" ${words[0]}"
        words=("${words[@]:1}")
        _wayshot_command
    done
    for word in "${words[@]}"; do
        case ${values[0]-} in
            '') ;;
            maybe) [[ " ${values[*]:1} " != *" $word "* ]] || word='' ;;
            *) word='' ;; # a value, whatever it looks like
        esac
        values=()
        if [[ $word == -- ]]; then
            break
        elif [[ $word == -?* ]]; then
            given+=("${word%%=*}")
            [[ $word == *=* ]] || _wayshot_value "$word"
        fi
    done

    if ((dashes)); then
        values=("${argument[@]}")
    elif [[ ${values[0]-maybe} != maybe ]]; then
        : # the option before must have one
    elif [[ $raw == --*=* || $raw == -[!-]?* ]]; then
        skip=${raw:0:2}
        [[ $skip != -- ]] || skip=${raw%%=*}=
        values=()
        _wayshot_value "${skip%=}"
    elif [[ $raw == -* ]]; then
        _wayshot_offer_options
        return
    else
        _wayshot_offer "${values[@]:1}"
        ((${#words[@]})) || _wayshot_offer "${commands[@]}"
        values=("${argument[@]}")
    fi
    case ${values[0]-} in
        words | maybe) _wayshot_offer "${values[@]:1}" ;;
        files) _wayshot_offer_files ;;
        commands) ((dashes == 0)) || _wayshot_offer_command "$((dashes + 1))" ;;
        '' | nothing) ;;
        *) _wayshot_offer_live "${values[0]}" ;;
    esac
}

# Offer the words that begin as the one on the line.
_wayshot_offer() {
    local word whole rest keeps
    _wayshot_unquote "$kept"
    keeps=$plain
    _wayshot_unquote "$raw"
    [[ ! $quote ]] || keeps=$outside # readline goes back to the quote
    for word; do
        whole=$skip$word
        [[ $whole == "$plain"* && $whole == "$keeps"* ]] || continue
        rest=${whole#"$keeps"}
        case $quote in
            '') printf -v rest %q "$rest" ;;
            \') [[ $rest != *\'* ]] || continue ;;
            \") [[ $rest != *[\"\$\`\\!]* ]] || continue ;;
        esac
        COMPREPLY+=("$rest")
    done
}

# Take the quotes off: quote is the one that is still open, outside what is before it.
_wayshot_unquote() {
    local rest=$1 char
    plain='' quote='' outside=''
    while [[ $rest ]]; do
        char=${rest:0:1} rest=${rest:1}
        case $quote$char in
            [\'\"]) quote=$char outside=$plain ;;
            "''" | '""') quote='' ;;
            \\ | \"\\) plain+=${rest:0:1} rest=${rest:1} ;;
            *) plain+=$char ;;
        esac
    done
}

# Offer the options that are not there yet, or may come again.
_wayshot_offer_options() {
    local -a free=()
    local names name
    for names in "${options[@]}"; do
        if [[ $names != \** ]]; then
            for name in $names; do
                [[ " ${given[*]} " != *" $name "* ]] || continue 2
            done
        fi
        for name in ${names#\*}; do
            free+=("$name")
        done
    done
    _wayshot_offer "${free[@]}"
}

# Offer files, beside commands if there are any.
_wayshot_offer_files() {
    local -a files=()
    if ((${#COMPREPLY[@]})); then
        mapfile -t files < <(compgen -f -- "$raw")
        COMPREPLY+=("${files[@]}")
        compopt -o filenames
    else
        compopt -o default
    fi
}

# Offer what the command from that word on takes, which is somebody else's.
_wayshot_offer_command() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$raw")
    else
        compopt -o default
    fi
}

# Offer what the session has. Nothing of that is ever evaluated.
_wayshot_offer_live() {
    local -a live=()
    while IFS=$'\t' read -r word _; do
        live+=("$word")
    done < <(_WAYSHOT_COMPLETE=$1 command wayshot 2>/dev/null)
    _wayshot_offer "${live[@]}"
}

# What a command has: its options (* if they may come again), commands and argument.
_wayshot_command() {
    options=() commands=() argument=()
    case $command in
        'wayshot')
            options=(
                '*-o --output'
                '-g --region --geometry'
                '-w --window'
                '-c --cursor'
                '--select'
                '--selector'
                '--menu'
                '--freeze'
                '-t --format'
                '-l --level'
                '-q --quality'
                '-s --scale'
                '-d --delay'
                '--edit'
                '--editor'
                '--clipboard'
                '--exec'
                '--notify'
                '--metadata'
                '--mkdir'
                '--no-clobber'
                '--backend'
                '--buffer'
                '--device'
                '--timeout'
                '-v --verbose'
                '--portal-source'
                '--portal-size'
                '--portal-remote-desktop'
                '--pipewire-node'
                '--profile'
                '--version'
                '-h --help'
            )
            commands=(color completions config doctor headless list portal record)
            argument=(files)
            ;;
        'wayshot color')
            options=(
                '-f --format'
                '--json'
                '--clipboard'
                '--freeze'
                '--selector'
                '--backend'
                '--buffer'
                '--device'
                '--timeout'
                '-v --verbose'
                '--profile'
                '-h --help'
            )
            commands=()
            argument=()
            ;;
        'wayshot completions')
            options=(
                '-h --help'
            )
            commands=()
            argument=(words bash fish zsh)
            ;;
        'wayshot config')
            options=(
                '-h --help'
            )
            commands=(path show)
            argument=()
            ;;
        'wayshot config path')
            options=(
                '-h --help'
            )
            commands=()
            argument=()
            ;;
        'wayshot config show')
            options=(
                '--profile'
                '--json'
                '-h --help'
            )
            commands=()
            argument=()
            ;;
        'wayshot doctor')
            options=(
                '--json'
                '--timeout'
                '--profile'
                '-h --help'
            )
            commands=()
            argument=()
            ;;
        'wayshot headless')
            options=(
                '--size'
                '--scale'
                '--compositor'
                '-d --delay'
                '--save'
                '--record'
                '--duration'
                '--mkdir'
                '--timeout'
                '-v --verbose'
                '--profile'
                '-h --help'
            )
            commands=()
            argument=(commands)
            ;;
        'wayshot list')
            options=(
                '--json'
                '--timeout'
                '--profile'
                '-h --help'
            )
            commands=()
            argument=()
            ;;
        'wayshot portal')
            options=(
                '-h --help'
            )
            commands=(forget)
            argument=()
            ;;
        'wayshot portal forget')
            options=(
                '-h --help'
            )
            commands=()
            argument=()
            ;;
        'wayshot record')
            options=(
                '*-o --output'
                '-g --region --geometry'
                '-w --window'
                '-c --cursor'
                '--select'
                '--selector'
                '--menu'
                '-t --format'
                '-r --fps'
                '--duration'
                '--frames'
                '-d --delay'
                '--pixel-format'
                '--colorspace'
                '--color-range'
                '--timestamps'
                '--codec'
                '--crf'
                '--preset'
                '--bitrate'
                '--gop'
                '*--codec-option'
                '--encoder'
                '--encoder-args'
                '--no-damage'
                '--on-resize'
                '--on-lost'
                '--exec'
                '--notify'
                '--mkdir'
                '--no-clobber'
                '--quiet'
                '--backend'
                '--buffer'
                '--device'
                '--timeout'
                '-v --verbose'
                '--portal-source'
                '--portal-size'
                '--portal-remote-desktop'
                '--pipewire-node'
                '--profile'
                '-h --help'
            )
            commands=()
            argument=(files)
            ;;
    esac
}

# What the value of an option can be: its kind, and words; none for a flag, maybe none of them.
_wayshot_value() {
    case "$command $1" in
        'wayshot -o' | 'wayshot --output') values=(outputs) ;;
        'wayshot -g' | 'wayshot --region' | 'wayshot --geometry') values=(nothing) ;;
        'wayshot -w' | 'wayshot --window') values=(windows) ;;
        'wayshot --select') values=(maybe region output window) ;;
        'wayshot --selector') values=(nothing) ;;
        'wayshot --menu') values=(nothing) ;;
        'wayshot -t' | 'wayshot --format') values=(words png jpeg webp avif tiff ppm qoi raw) ;;
        'wayshot -l' | 'wayshot --level') values=(nothing) ;;
        'wayshot -q' | 'wayshot --quality') values=(nothing) ;;
        'wayshot -s' | 'wayshot --scale') values=(nothing) ;;
        'wayshot -d' | 'wayshot --delay') values=(nothing) ;;
        'wayshot --editor') values=(nothing) ;;
        'wayshot --exec') values=(nothing) ;;
        'wayshot --backend') values=(words auto image-copy screencopy export-dmabuf portal) ;;
        'wayshot --buffer') values=(words auto shm dmabuf) ;;
        'wayshot --device') values=(files) ;;
        'wayshot --timeout') values=(nothing) ;;
        'wayshot --portal-source') values=(words monitor window virtual) ;;
        'wayshot --portal-size') values=(nothing) ;;
        'wayshot --pipewire-node') values=(nothing) ;;
        'wayshot --profile') values=(profiles) ;;
        'wayshot color -f' | 'wayshot color --format') values=(words hex rgb hsl oklch) ;;
        'wayshot color --selector') values=(nothing) ;;
        'wayshot color --backend') values=(words auto image-copy screencopy export-dmabuf portal) ;;
        'wayshot color --buffer') values=(words auto shm dmabuf) ;;
        'wayshot color --device') values=(files) ;;
        'wayshot color --timeout') values=(nothing) ;;
        'wayshot color --profile') values=(profiles) ;;
        'wayshot config show --profile') values=(profiles) ;;
        'wayshot doctor --timeout') values=(nothing) ;;
        'wayshot doctor --profile') values=(profiles) ;;
        'wayshot headless --size') values=(nothing) ;;
        'wayshot headless --scale') values=(nothing) ;;
        'wayshot headless --compositor') values=(words auto sway labwc cage) ;;
        'wayshot headless -d' | 'wayshot headless --delay') values=(nothing) ;;
        'wayshot headless --save') values=(files) ;;
        'wayshot headless --record') values=(files) ;;
        'wayshot headless --duration') values=(nothing) ;;
        'wayshot headless --timeout') values=(nothing) ;;
        'wayshot headless --profile') values=(profiles) ;;
        'wayshot list --timeout') values=(nothing) ;;
        'wayshot list --profile') values=(profiles) ;;
        'wayshot record -o' | 'wayshot record --output') values=(outputs) ;;
        'wayshot record -g' | 'wayshot record --region' | 'wayshot record --geometry') values=(nothing) ;;
        'wayshot record -w' | 'wayshot record --window') values=(windows) ;;
        'wayshot record --select') values=(maybe region output window) ;;
        'wayshot record --selector') values=(nothing) ;;
        'wayshot record --menu') values=(nothing) ;;
        'wayshot record -t' | 'wayshot record --format') values=(words y4m raw mp4 mkv webm gif apng webp) ;;
        'wayshot record -r' | 'wayshot record --fps') values=(nothing) ;;
        'wayshot record --duration') values=(nothing) ;;
        'wayshot record --frames') values=(nothing) ;;
        'wayshot record -d' | 'wayshot record --delay') values=(nothing) ;;
        'wayshot record --pixel-format') values=(words bgr0 rgb0 bgr24 rgb24 bgra rgba yuv420p yuv422p yuv444p yuv420p10le yuv422p10le yuv444p10le nv12 p010le gray gray10le) ;;
        'wayshot record --colorspace') values=(words auto bt709 bt601) ;;
        'wayshot record --color-range') values=(words limited full) ;;
        'wayshot record --timestamps') values=(files) ;;
        'wayshot record --codec') values=(nothing) ;;
        'wayshot record --crf') values=(nothing) ;;
        'wayshot record --preset') values=(nothing) ;;
        'wayshot record --bitrate') values=(nothing) ;;
        'wayshot record --gop') values=(nothing) ;;
        'wayshot record --codec-option') values=(nothing) ;;
        'wayshot record --encoder') values=(words auto ffmpeg) ;;
        'wayshot record --encoder-args') values=(nothing) ;;
        'wayshot record --on-resize') values=(words scale pad stop segment) ;;
        'wayshot record --on-lost') values=(words stop wait) ;;
        'wayshot record --exec') values=(nothing) ;;
        'wayshot record --backend') values=(words auto image-copy screencopy export-dmabuf portal) ;;
        'wayshot record --buffer') values=(words auto shm dmabuf) ;;
        'wayshot record --device') values=(files) ;;
        'wayshot record --timeout') values=(nothing) ;;
        'wayshot record --portal-source') values=(words monitor window virtual) ;;
        'wayshot record --portal-size') values=(nothing) ;;
        'wayshot record --pipewire-node') values=(nothing) ;;
        'wayshot record --profile') values=(profiles) ;;
    esac
}

complete -o nosort -F _wayshot wayshot
