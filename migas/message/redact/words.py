"""Words of machines and of English that are nobody's name."""

from __future__ import annotations

NAMES_NOBODY = frozenset(
    """
    abort access account action active address admin administrator all and any api app archive
    argument array auth axis background backup bad bar base batch bids bin binary bit block
    bot box branch broken bug build bus byte cache call cancelled case cat cell char check
    child circleci class clean cli client clock cloud cluster code command common completed
    computer config connection console container control copy core count crash crashed crontab
    daemon data database dataset date day debian debug default deleted demo desktop dev device
    dict dimension dir directory disk display docker docs domain done down download ec2-user
    echo email end engine entry env environment error errored event exception exec exit exited
    external failed failure false fatal field file filter first flag float folder font foo
    form format frame free from ftp full function game games git global group guess guest head
    help home hook host http https image import in index info init input install int internal
    invalid is item jenkins job journal jovyan kernel key kill killed lab label laptop last
    ldap left len length level lib library limit line linux list load local localdomain
    localhost lock log login logs loop lost mail main manager map mask master matrix me media
    member memory message method missing mode model module monitor mount mysql name nan net
    network neuro new news next nginx no nobody node none not null number numpy object of ok
    oom open operator ops option or os out output owner package page pandas parent parse part
    partition password pc permission pipe plugin point pool port postgres print private
    process program project proxy public pull push python query queue rank raw read record
    redis region remote remove reset result right role root run runner samba sample scan
    science script search section select self send server service session set setup shape
    shared shell sigabrt sigbus sigfpe sighup sigill sigint sigkill signal sigpipe sigquit
    sigsegv sigterm sigusr1 sigusr2 sigxcpu size slot slurm socket source space spark split
    spool sql ssh ssl stack staff start state static status step stop storage store stream
    string student sub subject support suspended svc swap sync sys system table tag target
    task team temp term terminal terminated test text thread time timeout tmp token tool toor
    trace travis tree true tuple type ubuntu unit unknown update upload user users utility
    vagrant valid value var vector version view virtual volume wait warning watch web window
    windows work worker workspace write www you zero zip
    """.split()  # noqa: SIM905  words are read as words
)
"""Accounts and hosts that are shared or common words: to take them out would only spoil sentences.

A first name that is a word, too (`mark`, `will`, `max`), counts as a name.
"""
