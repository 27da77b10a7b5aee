function Update-Addresses {
    # Adds our addresses to the IP allow list, or takes them out of it, and former ones with them; the others stay.
    param($Step)
    $have = @(Get-Text (Get-Single $Step).IPAllowList)
    $ours = $Step.Properties[0].Value
    $old = @(Get-Former $ours)
    if ($Remove) { $old += $ours }
    $gone = @($old | Where-Object { $have -contains $_ })
    $missing = @($ours | Where-Object { -not $Remove -and $have -notcontains $_ })
    $change = @{}
    $told = @()
    if ($missing.Count -gt 0) {
        $change['Add'] = $missing
        $told += "added: $($missing -join ', ')"
    }
    if ($gone.Count -gt 0) {
        $change['Remove'] = $gone
        $told += "removed: $($gone -join ', ')"
    }
    if ($told.Count -eq 0) { return New-Told 'unchanged' '' }
    $with = @{ Identity = $Step.Name; IPAllowList = $change }
    return Get-Done (Invoke-Change $Step.Name 'Set-HostedConnectionFilterPolicy' $with) ($told -join '; ')
}

function Get-Former {
    # Addresses that our inbound connector has and should not have any more: whoever has them now is not to be believed.
    param($Ours)
    if (-not $Known['Settled']) { return }
    $step = @($Steps | Where-Object { $_.Id -eq 'inbound' })[0]
    $object = Select-Named @(Get-All $step) $step.Name
    if ($null -eq $object -or -not (Test-Ours $step $object)) { return }
    @(Get-Text $object.SenderIPAddresses) | Where-Object { $Ours -notcontains $_ }
}

function Update-Sealers {
    # Adds our ARC seal to the trusted ones, or takes it out. The list is set as a whole; a space empties it.
    param($Step)
    $have = @()
    foreach ($one in @(Get-ArcConfig -ErrorAction Stop)) {
        foreach ($text in @(Get-Text $one.ArcTrustedSealers)) { $have += @(Get-Text ($text -split ',')) }
    }
    $ours = $Step.Properties[0].Value
    $wanted = @($have | Where-Object { $ours -notcontains $_ })
    if (-not $Remove) { $wanted += $ours }
    if (Test-List $have $wanted $false) { return New-Told 'unchanged' '' }
    if ($wanted.Count -eq 0) { $wanted = @(' ') }
    $with = @{ Identity = $Step.Name; ArcTrustedSealers = $wanted }
    return Get-Done (Invoke-Change $Step.Name 'Set-ArcConfig' $with) "now: $($wanted -join ', ')"
}

function Get-Infrastructure {
    # A sending infrastructure as it is compared: a domain, or a network of 256 addresses.
    param([string] $Text)
    return $Text -replace '^(\d+\.\d+\.\d+)\.\d+(/24)?$', '$1.0/24'
}

function Select-Spoof {
    # The entry that lets everybody be spoofed by this infrastructure, or blocks it; or nothing.
    param($Entries, [string] $Infrastructure, [string] $Type)
    foreach ($entry in $Entries) {
        if ("$($entry.SpoofedUser)" -ne '*' -or "$($entry.SpoofType)" -ne $Type) { continue }
        if ((Get-Infrastructure "$($entry.SendingInfrastructure)") -eq $Infrastructure) { return $entry }
    }
}

function Update-Spoof {
    # Adds the entries that let our addresses send in everybody's name, or removes them.
    param($Step)
    $entries = @(Get-TenantAllowBlockListSpoofItems -ErrorAction Stop)
    $told = @()
    $ran = $true
    $former = @($Step.Properties | Where-Object { $_.Name -eq 'Former' } | ForEach-Object { $_.Value })
    foreach ($infrastructure in @($Step.Properties[0].Value) + $former) {
        $gone = $Remove -or $former -contains $infrastructure
        foreach ($type in @('External', 'Internal')) {
            $entry = Select-Spoof $entries $infrastructure $type
            $what = "*, $infrastructure ($type)"
            if ($null -ne $entry -and "$($entry.Action)" -ne 'Allow') {
                if ($gone) { continue }
                throw "$what is blocked by an entry of yours: remove it first."
            }
            if ($gone -and $null -ne $entry) {
                $with = @{ Identity = 'domain.com\Default'; Ids = @("$($entry.Identity)"); Confirm = $false }
                $ran = Invoke-Change $what 'Remove-TenantAllowBlockListSpoofItems' $with
                $told += "removed: $what"
            }
            if (-not $gone -and $null -eq $entry) {
                $with = @{
                    Identity = 'Default'
                    Action = 'Allow'
                    SpoofedUser = '*'
                    SendingInfrastructure = $infrastructure
                    SpoofType = $type
                }
                $ran = Invoke-Change $what 'New-TenantAllowBlockListSpoofItems' $with
                $told += "added: $what"
            }
        }
    }
    if ($told.Count -eq 0) { return New-Told 'unchanged' '' }
    return Get-Done $ran ($told -join '; ')
}
