function Connect-Organisation {
    # Signs in unless that is done, and looks where.
    if (-not (Get-Command Connect-ExchangeOnline -ErrorAction SilentlyContinue)) {
        throw 'Install the module first: Install-Module ExchangeOnlineManagement -Scope CurrentUser'
    }
    $open = @(Get-Open)
    if ($open.Count -eq 0) {
        Connect-ExchangeOnline -ShowBanner:$false
        $open = @(Get-Open)
    }
    if ($open.Count -ne 1) { throw 'There must be one connection: use Disconnect-ExchangeOnline, then run this again.' }
    if ($Organisation -ne '' -and "$($open[0].TenantID)" -ne $Organisation) {
        throw "You are signed in to $($open[0].TenantID), and this script is for $Organisation."
    }
}

function Get-Open {
    # The connections to Exchange Online.
    foreach ($one in @(Get-ConnectionInformation)) {
        if ("$($one.State)" -eq 'Connected' -and "$($one.IsEopSession)" -ne 'True') { $one }
    }
}

$Steps = $Hardened
if ($AsInArticle) { $Steps = $AsArticle }
$State = @{}
$Known = @{}
$Report = @()
Connect-Organisation
Write-Host "Sluice, tenant $Tenant"
foreach ($step in @(Get-Order)) {
    $told = Get-Blocked $step
    if ($null -eq $told) {
        try { $told = Invoke-Step $step }
        catch { $told = New-Told 'failed' "$($_.Exception.Message) $($step.Hint)" }
    }
    $State[$step.Id] = $told.Result
    $line = [pscustomobject] @{ Step = $step.Title; Result = $told.Result; Detail = (Hide-Secret $told.Detail).Trim() }
    $Report += $line
    $words = "$($line.Result): $($line.Step) $($line.Detail)".Trim()
    Write-Host $words
}
if (-not $Remove -and -not $Rotate) {
    foreach ($note in $Notes) { Write-Host "note: $note" }
}
$Report
$results = @($Report | ForEach-Object { $_.Result })
if ($results -contains 'failed' -or $results -contains 'skipped') { exit 1 }
if ($Known['Kept'] -and -not $Remove) {
    Write-Host "waiting: mail may still come back from former addresses: run this again in $MinutesToWait minutes"
    exit 2
}
if ($results -contains 'waiting') { exit 2 }
exit 0
