<#
.SYNOPSIS
Goose's agent for Windows: enrols this machine, says that it is alive, and rotates its token.

.DESCRIPTION
A scheduled task runs it every few minutes as SYSTEM.

  goose-agent.ps1          one round
  goose-agent.ps1 store    keeps an enrolment secret from standard input for the next round
  goose-agent.ps1 enrol    the same, and enrols at once: after `goosectl agent re-enrol`
  goose-agent.ps1 status   what is known here; no secret

agent.json in its folder holds url, and optionally clientCertificate, the thumbprint of a certificate
in LocalMachine\My, for mutual TLS. The state is one file, encrypted for this machine (DPAPI), that is
only ever replaced whole: the Idempotency-Key of a request is in it before the request is sent, and
the new token after the answer came. A request whose answer was lost is sent again exactly as it was,
and gets the same answer.
#>
param(
    [ValidateSet('round', 'store', 'enrol', 'status')][string]$Action = 'round',
    [string]$Folder = (Join-Path $env:ProgramData 'Goose\agent')
)
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
if ($PSVersionTable.PSVersion.Major -lt 6) {
    Add-Type -AssemblyName System.Security
    [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
}
$StateFile = Join-Path $Folder 'state'
$BackoffFile = Join-Path $Folder 'backoff'

function Write-Line([string]$Text) {
    $stamp = [DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ')
    $log = Join-Path $Folder 'agent.log'
    if ((Test-Path $log) -and (Get-Item $log).Length -gt 256KB) { Move-Item -Force $log "$log.old" }
    Add-Content -Path $log -Value "$stamp $Text"
    [Console]::Error.WriteLine("goose-agent: $Text")
}

function Get-RandomBytes([int]$Count) {
    $bytes = New-Object byte[] $Count
    $source = [Security.Cryptography.RandomNumberGenerator]::Create()
    try { $source.GetBytes($bytes) } finally { $source.Dispose() }
    , $bytes
}

function New-Key { -join (Get-RandomBytes 16 | ForEach-Object { $_.ToString('x2') }) }

function Get-Chance([int]$Below) {
    [int]([BitConverter]::ToUInt32((Get-RandomBytes 4), 0) % $Below)
}

# DPAPI, for this machine: the folder's permissions keep its other users out.
function Protect-Bytes([byte[]]$Bytes) {
    , [Security.Cryptography.ProtectedData]::Protect($Bytes, $null, 'LocalMachine')
}

function Unprotect-Bytes([byte[]]$Bytes) {
    , [Security.Cryptography.ProtectedData]::Unprotect($Bytes, $null, 'LocalMachine')
}

# In one step, and on disk before it returns.
function Move-Over([string]$From, [string]$To) {
    if ($PSVersionTable.PSVersion.Major -ge 6) { [IO.File]::Move($From, $To, $true); return }
    if (-not ('Goose.Native' -as [type])) {
        Add-Type -Namespace Goose -Name Native -MemberDefinition (
            '[DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]' +
            'public static extern bool MoveFileEx(string from, string to, uint flags);')
    }
    # MOVEFILE_REPLACE_EXISTING and MOVEFILE_WRITE_THROUGH
    if (-not [Goose.Native]::MoveFileEx($From, $To, 9)) {
        throw (New-Object ComponentModel.Win32Exception)
    }
}

function Read-State {
    $state = @{ enrolment = ''; enrol_key = ''; machine = ''; token = ''; pending = ''; refresh_below = 0 }
    if (Test-Path $StateFile) {
        $text = [Text.Encoding]::UTF8.GetString((Unprotect-Bytes ([IO.File]::ReadAllBytes($StateFile))))
        $kept = ConvertFrom-Json $text
        foreach ($name in @($state.Keys)) { $state[$name] = $kept.$name }
    }
    $state
}

function Save-State($State) {
    $bytes = Protect-Bytes ([Text.Encoding]::UTF8.GetBytes((ConvertTo-Json $State -Compress)))
    $file = New-Object IO.FileStream "$StateFile.new", 'Create', 'Write'
    try { $file.Write($bytes, 0, $bytes.Length); $file.Flush($true) } finally { $file.Dispose() }
    Move-Over "$StateFile.new" $StateFile
}

# The next rounds that are left out, more and more of them by chance, so that a site that comes back
# is not asked by all its machines at once.
function Stop-Round([string]$Why) {
    Write-Line $Why
    $count = 0
    if (Test-Path $BackoffFile) { $count = [int](-split (Get-Content $BackoffFile))[0] }
    $count = [Math]::Min($count + 1, 3)
    Set-Content $BackoffFile "$count $(Get-Chance ([int][Math]::Pow(2, $count)))"
    exit 1
}

function Test-Skipped {
    if (-not (Test-Path $BackoffFile)) { return $false }
    $count, $skip = -split (Get-Content $BackoffFile)
    if ([int]$skip -le 0) { return $false }
    Set-Content $BackoffFile "$count $([int]$skip - 1)"
    $true
}

# The answer to a request: its status (0 where there was none) and what it says.
function Invoke-Goose([string]$Route, $Body, [hashtable]$Headers) {
    $config = ConvertFrom-Json (Get-Content -Raw (Join-Path $Folder 'agent.json'))
    $call = @{
        Uri = "$($config.url.TrimEnd('/'))/v1/agents/$Route"
        Method = 'Post'
        Body = ConvertTo-Json $Body -Compress
        ContentType = 'application/json'
        Headers = $Headers
        TimeoutSec = 30
        UseBasicParsing = $true
        MaximumRedirection = 0
    }
    if ($config.PSObject.Properties['clientCertificate'] -and $config.clientCertificate) {
        $call.Certificate = Get-Item "Cert:\LocalMachine\My\$($config.clientCertificate)"
    }
    for ($attempt = 1; ; $attempt++) {
        $status = 0; $said = $null
        try {
            $answer = Invoke-WebRequest @call
            $status = [int]$answer.StatusCode
            $said = ConvertFrom-Json $answer.Content
        } catch {
            $status = 0
            $response = $null
            if ($_.Exception.PSObject.Properties['Response']) { $response = $_.Exception.Response }
            if ($response) { $status = [int]$response.StatusCode }
            if ($_.ErrorDetails) { try { $said = ConvertFrom-Json $_.ErrorDetails.Message } catch { $said = $null } }
        }
        if (($status -ne 0 -and $status -lt 500) -or $attempt -ge 3) { break }
        Start-Sleep -Seconds (5 * $attempt)
    }
    @{ status = $status; said = $said }
}

function Stop-Refused([string]$What, $Answer) {
    if ($Answer.status -eq 0) { Stop-Round "${What}: no answer" }
    $code = 'and no reason'
    if ($Answer.said -and $Answer.said.PSObject.Properties['error']) { $code = $Answer.said.error.code }
    Stop-Round "${What}: refused with $($Answer.status) $code"
}

# Takes the token in an answer; it is refreshed when between a quarter and a half of its time is left,
# by chance, so that machines that were installed together do not come together.
function Save-Token($State, $Said) {
    $State.machine = $Said.machine_id
    $State.token = $Said.token
    $State.enrolment = ''; $State.enrol_key = ''; $State.pending = ''
    $State.refresh_below = [long]([Math]::Floor($Said.expires_in * (25 + (Get-Chance 26)) / 100))
    Save-State $State
}

function Invoke-Enrolment($State) {
    if (-not $State.enrol_key) { $State.enrol_key = New-Key; Save-State $State }
    $answer = Invoke-Goose 'register' @{ enrolment = $State.enrolment } @{ 'Idempotency-Key' = $State.enrol_key }
    if ($answer.status -ne 200) {
        if ($State.token -and (404, 410) -contains $answer.status) {
            # A secret that is none does not cost the enrolment there is.
            $State.enrolment = ''; $State.enrol_key = ''
            Save-State $State
        }
        Stop-Refused 'enrolment' $answer
    }
    Save-Token $State $answer.said
    Write-Line "enrolled as $($State.machine)"
}

function Invoke-Rotation($State) {
    if (-not $State.pending) { $State.pending = New-Key; Save-State $State }
    $body = @{ machine_id = $State.machine; old_token = $State.token }
    $answer = Invoke-Goose 'token/refresh' $body @{ 'Idempotency-Key' = $State.pending }
    if ($answer.status -ne 200) { Stop-Refused 'rotation' $answer }
    Save-Token $State $answer.said
    Write-Line 'the token was rotated'
}

function Invoke-Heartbeat($State) {
    $body = @{ machine_id = $State.machine; agent = 'goose-agent-windows/1' }
    $answer = Invoke-Goose 'heartbeat' $body @{ Authorization = "Bearer $($State.token)" }
    if ($answer.status -ne 200) { Stop-Refused 'heartbeat' $answer }
    [long]$answer.said.expires_in
}

function Invoke-Round {
    $state = Read-State
    if ($state.enrolment) {
        Invoke-Enrolment $state
    } elseif (-not $state.token) {
        Stop-Round "not enrolled: run 'goosectl agent re-enrol' at the site"
    } elseif ($state.pending) {
        Invoke-Rotation $state # what was begun is finished before the token is used again
    }
    if ((Invoke-Heartbeat $state) -le $state.refresh_below) {
        Invoke-Rotation $state
        $null = Invoke-Heartbeat $state # the first use of the new token, which ends the old one
    }
    if (Test-Path $BackoffFile) { Remove-Item $BackoffFile }
}

$null = New-Item -ItemType Directory -Force $Folder
if ($Action -eq 'status') {
    $state = Read-State
    $machine = 'not enrolled'
    if ($state.machine) { $machine = $state.machine }
    "machine: $machine"
    if ($state.enrolment) { 'an enrolment waits' }
    if ($state.pending) { 'a rotation waits for its answer' }
    exit 0
}

# One at a time. The system gives the lock up when its holder ends, however that ends.
try {
    $lock = New-Object IO.FileStream (Join-Path $Folder 'lock'), 'OpenOrCreate', 'ReadWrite', 'None'
} catch [IO.IOException] {
    exit 0
}
try {
    if ($Action -eq 'round') {
        if (Test-Skipped) { exit 0 }
    } else {
        $given = [Console]::In.ReadLine()
        if ($given -notmatch '\A[A-Za-z0-9_-]+\z') { Stop-Round 'this is no enrolment secret' }
        $state = Read-State
        $state.enrolment = $given; $state.enrol_key = ''
        Save-State $state
        if (Test-Path $BackoffFile) { Remove-Item $BackoffFile }
        if ($Action -eq 'store') { exit 0 }
    }
    Invoke-Round
} catch {
    Stop-Round "$_"
} finally {
    $lock.Dispose()
}
