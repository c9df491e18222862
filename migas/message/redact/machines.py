"""Machines and what runs on them, told by the words around: hosts, nodes, jobs, pods, buckets."""

from __future__ import annotations

from migas.message.redact.shapes import STOP, rule

_RANGE = r"\[\d++(?:-\d++)?(?:,\d++(?:-\d++)?)*\]"
_HOST_OR_RANGE = rf"[a-z](?:[\w.-]*\w)?(?:{_RANGE})?"

RULES = (
    # slurmstepd: *** JOB 4711 ON n042 CANCELLED; srun: error: n042: task 3: Killed
    rule(
        "job |step ",
        r"\1 <id> ON <host>",
        r"\b(JOB|STEP|[Jj]ob|[Ss]tep) [\w.-]*\d[\w.\[\]-]* ON [\w.\[\],-]+",
    ),
    rule(
        ": error: ",
        r"\1<host>",
        r"(?i)((?:srun|slurm\w{1,10}|salloc|sbatch): error: )",
        rf"(?=[\w.-]*[\d\[]){_HOST_OR_RANGE}(?=: )",
    ),
    rule("slurm", r"\1<host>", r"(\bslurm\w{1,10}\[)[a-z][\w.-]*(?=\])"),
    rule(
        "job|step|apid",
        r"\1<id>",
        r"(?i)((?<![a-z])(?:job|step|ap)[ _]?id[\"']?[ ]?[=:]?[ ]?[\"'<]?)",
        r"(?=[\w.\[-]{0,80}\d)[\w.\[\]-]*\w|(?<=JobName=)[^\s,;<]+|(?<=job )\d+\.[a-z][\w.-]*\w",
    ),
    rule(
        "node|host",
        r"\1<host>",
        r"(?i)((?<![a-z])(?:(?:nodes?|hosts?) |nodelist[=:][ ]?|(?:batch|exec_)host=|",
        r"(?:unavailable|excluded|down)[ ]?nodes[=:] ?)[\"']?)(?!<)",
        rf"(?:[a-z][\w-]*{_RANGE}|(?<=[=:]){_HOST_OR_RANGE})(?:,{_HOST_OR_RANGE})*",
    ),
    # Without such a word only zeros tell c[001-016] from x[3-5].
    rule("[0", "<host>", r"(?i)(?<![\w.\])-])[a-z][\w-]*+\[0\d+-\d++(?:,\d++(?:-\d++)?)*\]"),
    # A node of a workflow has no digits after its letters, or has dots and underscores, too.
    rule(
        "node ",
        r"\1<host>",
        r"(?i)((?:on|from|to|at|of) (?:the )?(?:(?:compute|worker|head|login) )?node ",
        r"|node fail\w* on )(?=[a-z-]*\d|(?:login|head|gpu|cpu|compute|master|worker)-)",
        r"[a-z][a-z0-9-]*+(?:\.[a-z][\w-]*)*(?![\w.]\w)",
    ),
    rule("nid ", r"\1<host>", r"(\bNID )\d+(?!\w)"),
    rule(
        "pod|jobs.batch|namespaces|claims|deployments",
        r"\1<id>",
        r"((?<![\w-])(?:pods?|jobs\.batch|namespaces|persistentvolumeclaims|deployments\.apps)",
        r"[ :/=])(?:\"[^\"\n]{1,253}\"|'[^'\n]{1,253}'|(?=[a-z.-]*[\d-])[a-z0-9][\w.-]*\w)",
    ),
    rule(
        "bucket |bucket:",
        r"\1<id>",
        r"(?i)(\bbucket(?: named)?:? )",
        r"(?:\"[^\"\n]{1,63}\"|'[^'\n]{1,63}'|(?=[a-z0-9.]*[a-z][\w.]*-)[\w.-]*\w)",
    ),
    rule(
        "ae|certificate is",
        r"\1\2<host>",
        r"((?:AE[ _]?[Tt]itle|certificate is (?:not )?valid for):? )([\"']?)",
        r"(?:(?<=\")[^\"\n]{1,64}|(?<=')[^'\n]{1,64}|(?<=for )[\w.*-]*\w)",
    ),
    rule(
        "host|server|remote|node",
        r"\1<host>",
        r"(?i)((?<![a-z])(?:host(?:[ _]?name)?|server|remote|node ?name)[\"']?[ ]?[=:][ ]*[\"'(]?)",
        r"(?!localhost\b|None\b)[\w.-]*\w",
    ),
    rule(
        "host|esolv|addrinfo|lookup",
        r"\1<host>",
        r"(?i)((?:(?:to|resolve|unknown|reach|lookup|find|from|on|at|execution|submission)",
        r" host(?:name|s|\(s\))? |(?:resolv(?:e|ing)|getaddrinfo|lookup)[ ](?:for )?(?=[\"']))",
        rf"[\"']?)(?!(?:key|name|memory|code|side|device|system|machine|cpu|ram)\b|{STOP})",
        r"(?:<[\w.*-]+>|[\w.-]*\w)",
    ),
    rule(
        "server |host name |addrinfo failed for ",
        r"\1<host>",
        r"(?i)(server (?:at|on) [\"']|host name [\"']|getaddrinfo failed for [\"']?)",
        r"(?!localhost\b)[\w.-]*\w",
    ),
    rule(
        "onnect",
        r"\1<host>",
        r"(?i)(connect(?:ing|ion)? to )(?!localhost\b)[\w.-]*\w(?=:\d{2,5}(?!\w))",
    ),
    rule("@", "'<user>'@'<host>'", r"'[^'\n@]{1,80}'@'(?!<ip>)[^'\n@]{1,200}'"),
)
