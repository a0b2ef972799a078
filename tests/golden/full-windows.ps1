# Written by Goose: runs once, as SYSTEM, when Windows is set up.
$ErrorActionPreference = 'Stop'
$report = 'https://10.0.0.5:8443/v1/machines/52:54:00:12:34:56/progress?token=aCallback_-09'
function Send-Step($step) {
    if (-not $report) { return }
    foreach ($pause in 0, 10, 30) {
        Start-Sleep -Seconds $pause
        try {
            $null = Invoke-WebRequest -UseBasicParsing -TimeoutSec 20 -Method Post -Uri "$report&step=$step"
            return
        } catch { Write-Output "goose: $step was not reported" }
    }
}
Start-Transcript -Path (Join-Path $env:windir 'Panther\goose.log') -Append
[Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
try {
    $file = Join-Path $env:windir 'Panther\goose-ca.pem'
    Set-Content -Path $file -Encoding ASCII -Value @(
        '-----BEGIN CERTIFICATE-----'
        'AAAA'
        '-----END CERTIFICATE-----'
    )
    $null = Import-Certificate -FilePath $file -CertStoreLocation Cert:\LocalMachine\Root
    & w32tm.exe /config /manualpeerlist:'10.0.0.3 ntp.example.org' /syncfromflags:manual /update
    Set-Item -LiteralPath 'Env:RACK' -Value 'it''s a1'
Set-Content C:\rack.txt $env:RACK
} catch {
    Write-Output $_
    Send-Step 'failed'
} finally {
    # What this file and its copy in the answers hold is good for one install, and for nobody else.
    $answers = Join-Path $env:windir 'Panther\unattend.xml'
    if (Test-Path $answers) {
        $xml = [xml](Get-Content -Raw -Encoding UTF8 $answers)
        foreach ($name in 'Report', 'Script') {
            foreach ($node in @($xml.GetElementsByTagName($name))) { $node.InnerText = '' }
        }
        $xml.Save($answers)
    }
    Stop-Transcript
    Remove-Item -Force $PSCommandPath
}
