@echo off
setlocal DisableDelayedExpansion
title Goose
set "REPORT="
echo goose: db-1 is about to be installed
echo goose: ERASES the disk 0
echo goose: profile base installs ws2025, bundle site-base 2026.11.1
set "STEP=starting WinPE"
wpeinit
mkdir X:\goose
set "STEP=loading drivers"
mkdir "X:\goose\drivers\0" || goto failed
copy /y "X:\Windows\System32\net.inf" "X:\goose\drivers\0\net.inf" >nul || goto failed
copy /y "X:\Windows\System32\net.sys" "X:\goose\drivers\0\net.sys" >nul || goto failed
copy /y "X:\Windows\System32\net.cat" "X:\goose\drivers\0\net.cat" >nul || goto failed
drvload "X:\goose\drivers\0\net.inf" || goto failed
mkdir "X:\goose\drivers\1" || goto failed
copy /y "X:\Windows\System32\raid.inf" "X:\goose\drivers\1\raid.inf" >nul || goto failed
copy /y "X:\Windows\System32\raid.sys" "X:\goose\drivers\1\raid.sys" >nul || goto failed
drvload "X:\goose\drivers\1\raid.inf" || goto failed
wpeutil InitializeNetwork
wpeutil WaitForNetwork
set "STEP=fetching the answers"
curl.exe --fail --silent --show-error --ssl-no-revoke --retry 5 --retry-connrefused --connect-timeout 20 --cacert "X:\Windows\System32\goose-ca.pem" --output X:\goose\unattend.xml "https://10.0.0.5:8443/v1/render/unattend?token=aToken_-09" || goto failed
rem Its address for reports is a line of its own.
for /f "tokens=2 delims=<>" %%u in ('findstr /b /c:"<Report>" X:\goose\unattend.xml') do set "REPORT=%%u"
call :report started
set "STEP=laying out the disk"
call :report disks
diskpart /s "X:\Windows\System32\goose-disk.txt" || goto failed
set "STEP=fetching the image"
mkdir W:\goose || goto failed
curl.exe --fail --silent --show-error --ssl-no-revoke --retry 5 --retry-connrefused --connect-timeout 20 --cacert "X:\Windows\System32\goose-ca.pem" --output W:\goose\image.wim "https://10.0.0.5:8443/v1/artifacts/site-base@2026.11.1/win/media/sources/install%%202.wim" || goto failed
set "STEP=applying the image"
dism /Apply-Image /ImageFile:W:\goose\image.wim /Index:2 /ApplyDir:W:\ || goto failed
rmdir /s /q W:\goose
call :report configuring
set "STEP=making the disk start"
bcdboot W:\Windows /s S: /f UEFI || goto failed
set "STEP=handing over the answers"
if not exist W:\Windows\Panther mkdir W:\Windows\Panther || goto failed
copy /y X:\goose\unattend.xml W:\Windows\Panther\unattend.xml >nul || goto failed
dism /Image:W:\ /Apply-Unattend:W:\Windows\Panther\unattend.xml || goto failed
call :report installed
echo goose: Windows is on the disk, restarting into it
wpeutil reboot
exit /b 0

:report
if not defined REPORT exit /b 0
curl.exe --fail --silent --show-error --ssl-no-revoke --retry 5 --retry-connrefused --connect-timeout 20 --cacert "X:\Windows\System32\goose-ca.pem" --request POST --output nul "%REPORT%&step=%1"
exit /b 0

:failed
call :report failed
echo goose: the installation stopped while %STEP%
echo goose: this machine restarts in a minute
ping -n 61 127.0.0.1 >nul
wpeutil reboot
exit /b 1
